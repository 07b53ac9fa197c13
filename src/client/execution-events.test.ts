/** Whatever a history holds, what is told of it is sound. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Command, CommandKind, Event, RecordedStep } from '../core/history.js';
import { opensOperation } from '../core/history.js';
import { ExecutionEvents } from './execution-events.js';
import type { ExecutionExportOptions, TimelineEntry, WorkflowExecutionEvent } from './export-types.js';
import { RecordedOperations, type RecordedThread } from './recorded-operations.js';
import { Timeline } from './timeline.js';

const main: RecordedThread = { threadNo: 1, generation: 0, hookNo: null, workflowName: 'flow' };
const failure = { name: 'Error', message: 'no', stack: 'at x' };

const specs: { readonly [K in CommandKind]?: object } = {
  activity: { taskQueue: 'q', args: '[1]', headers: null, retry: {}, startToCloseMs: null },
  timer: { ms: 5 },
  wait: { signalId: 's', timeoutMs: null },
  child: { workflowId: 'c', taskQueue: 'q', args: '[]', awaited: true, options: {} },
  hook: { workflowId: null, taskQueue: 'q', args: '[]', signalId: 'h', config: null, search: null },
  signal: { signalId: 's', payload: null, expireMs: 1 },
  search: { n: 1, args: '["a"]' },
  entity: { n: 1, args: '[{}]' },
  emit: { events: [] },
  cancel: { ops: [] },
};

function command(kind: CommandKind, counter: number, spec: object = {}, name = 'name'): Command {
  return { kind, name, fingerprint: 0, counter, spec: { ...specs[kind], ...spec } } as Command;
}

/** A thread that calls what it is told to, and hears what it is told. */
class Teller {
  readonly thread: RecordedThread;
  #next = 0;
  #now: number;

  constructor(thread: RecordedThread = main, now = 1_000) {
    this.thread = thread;
    this.#now = now;
  }

  step(event: Event, commands: readonly Command[] = [], after = 10): RecordedStep {
    this.#now += after;
    return {
      entry: 0,
      event,
      now: this.#now,
      commands: commands.map((one) => ({ command: one, op: opensOperation(one.kind) ? this.#next++ : null })),
    };
  }
}

interface Told {
  readonly events: WorkflowExecutionEvent[];
  readonly timeline: TimelineEntry[];
  readonly summary: ExecutionEvents['summary'];
}

function tell(
  steps: readonly { readonly thread: RecordedThread; readonly step: RecordedStep }[],
  options: ExecutionExportOptions = {},
): Told {
  const operations = new RecordedOperations();
  const telling = new ExecutionEvents(options);
  const timeline = new Timeline({ workflowId: 'w', values: true, inputs: false });
  const events = [telling.started(1_000, { workflowName: 'flow', taskQueue: 'q' }, undefined)];
  for (const { thread, step } of steps) {
    for (const happening of operations.happenings(thread, step)) {
      timeline.happened(happening);
      const event = telling.happened(happening);
      if (event !== null) events.push(event);
    }
  }
  return { events, timeline: timeline.entries(), summary: telling.summary };
}

/** One call, and how it ended. */
function toldOf(kind: CommandKind, spec: object, ...ends: readonly Event[]): Told {
  const teller = new Teller();
  const steps = [teller.step({ kind: 'start' }, [command(kind, 1, spec)]), ...ends.map((event) => teller.step(event))];
  return tell(steps.map((step) => ({ thread: main, step })));
}

const types = ({ events }: Told) => events.slice(1).map(({ event_type }) => event_type);
const lastOf = ({ events }: Told) => events.at(-1)?.attributes as unknown as Record<string, unknown>;

describe('the end of a call', () => {
  it('is told by its own type, with the id of its start and how long it took', () => {
    const told = toldOf('activity', {}, { kind: 'done', op: 0, value: { a: 1 }, text: null });
    expect(told.events[2]).toEqual({
      event_id: 3,
      event_type: 'activity_task_completed',
      category: 'activity',
      event_time: '1970-01-01T00:00:01.020Z',
      duration_ms: 10,
      is_system: false,
      attributes: {
        kind: 'activity_task_completed',
        activity_type: 'name',
        timeline_key: '-proxy-1-',
        execution_index: 1,
        entry: 0,
        scheduled_event_id: 2,
        result: { a: 1 },
      },
    });
  });

  it.each<[string, CommandKind, object, Event, string[]]>([
    ['a sleep that was cancelled', 'timer', {}, { kind: 'cancel', ops: [0] }, ['timer_started']],
    ['a wait that was cancelled', 'wait', {}, { kind: 'cancel', ops: [0] }, ['signal_wait_started']],
    ['a wait that timed out', 'wait', {}, { kind: 'fire', op: 0 }, ['signal_wait_started', 'timer_fired']],
    [
      'a signal that was there before its wait',
      'wait',
      {},
      { kind: 'decided', op: 0, decision: { what: 'signal', value: 1 } },
      ['signal_wait_started', 'workflow_execution_signaled'],
    ],
    [
      'a hook that is not awaited',
      'hook',
      { signalId: null },
      { kind: 'decided', op: 0, decision: { what: 'usual' } },
      [],
    ],
    ['an awaited hook whose function failed', 'hook', {}, { kind: 'fail', op: 0, failure }, ['signal_wait_started']],
    [
      'a child that was only started',
      'child',
      { awaited: false },
      { kind: 'decided', op: 0, decision: { what: 'usual' } },
      ['child_workflow_execution_started'],
    ],
    [
      'a child whose id is taken',
      'child',
      { awaited: false },
      { kind: 'decided', op: 0, decision: { what: 'duplicate', id: 'c' } },
      ['child_workflow_execution_started', 'child_workflow_execution_failed'],
    ],
    [
      'an activity whose scope was cancelled',
      'activity',
      {},
      { kind: 'cancelled', op: 7, ops: [0] },
      ['activity_task_scheduled', 'activity_task_failed'],
    ],
    ['a search call', 'search', {}, { kind: 'decided', op: 0, decision: { what: 'value', value: 'x' } }, []],
  ])('of %s is told as what it is', (_, kind, spec, end, expected) => {
    expect(types(toldOf(kind, spec, end))).toEqual(expected);
  });

  it('is a failure as the code got it, with the stack of where it happened', () => {
    expect(lastOf(toldOf('activity', {}, { kind: 'fail', op: 0, failure })).failure).toMatchObject({
      name: 'DurableFatalError',
      code: 598,
      message: 'no',
      stack: 'at x',
      cause: { name: 'Error', message: 'no' },
    });
  });

  it('is told once, whatever else resolves the call', () => {
    const told = toldOf('timer', {}, { kind: 'fire', op: 0 }, { kind: 'fire', op: 0 }, { kind: 'cancel', ops: [0] });
    expect(types(told)).toEqual(['timer_started', 'timer_fired']);
  });
});

describe('a timeline', () => {
  it.each<[string, CommandKind, object, Event | null, object]>([
    ['a sleep that goes on', 'timer', {}, null, { duration: 0.005, ac: '19700101000001.010' }],
    [
      'a sleep',
      'timer',
      {},
      { kind: 'fire', op: 0 },
      { duration: 0.005, ac: '19700101000001.010', au: '19700101000001.020' },
    ],
    [
      'a wait that timed out',
      'wait',
      {},
      { kind: 'fire', op: 0 },
      { timedOut: true, ac: '19700101000001.010', au: '19700101000001.020' },
    ],
    [
      'a signal',
      'wait',
      {},
      { kind: 'signal', op: 0, value: 'x', text: null },
      { type: 'wait', data: { id: 's', data: 'x' }, ac: '19700101000001.010', au: '19700101000001.020' },
    ],
    [
      'an activity',
      'activity',
      {},
      { kind: 'done', op: 0, value: [1], text: null },
      { data: [1], job_id: '-w-$name-1', ac: '19700101000001.010', au: '19700101000001.020' },
    ],
  ])('shows %s with its times', (_, kind, spec, end, value) => {
    expect(toldOf(kind, spec, ...(end === null ? [] : [end])).timeline.map((entry) => entry.value)).toEqual([value]);
  });

  it('puts main before hooks before later runs, by position', () => {
    const hook = { ...main, threadNo: 2, hookNo: 0 };
    const later = { ...main, threadNo: 3, generation: 1 };
    const steps = [later, hook, main].map((thread, at) => ({
      thread,
      step: new Teller(thread, 1_000 + at).step({ kind: 'start' }, [command('emit', 2), command('signal', 1)]),
    }));
    expect(tell(steps).timeline.map(({ key, dimension }) => [key, dimension])).toEqual([
      ['-signal-1-', undefined],
      ['-emit-2-', undefined],
      ['-signal,0,0-1-', ',0,0'],
      ['-emit,0,0-2-', ',0,0'],
      ['-signal$1-1-', '$1'],
      ['-emit$1-2-', '$1'],
    ]);
  });
});

// ---- any history

const kinds = ['activity', 'timer', 'wait', 'child', 'hook', 'signal', 'search', 'emit', 'cancel'] as const;
const anEnd = fc.constantFrom<(op: number) => Event>(
  (op) => ({ kind: 'done', op, value: op, text: null }),
  (op) => ({ kind: 'fail', op, failure }),
  (op) => ({ kind: 'fire', op }),
  (op) => ({ kind: 'signal', op, value: op, text: null }),
  (op) => ({ kind: 'decided', op, decision: { what: 'usual' } }),
  (op) => ({ kind: 'decided', op, decision: { what: 'duplicate', id: 'c' } }),
  (op) => ({ kind: 'cancel', ops: [op, op + 1] }),
  (op) => ({ kind: 'cancelled', op, ops: [op + 2] }),
);
const aStep = fc.record({
  thread: fc.nat(2),
  after: fc.nat(20),
  end: fc.option(fc.tuple(fc.nat(12), anEnd), { nil: null }),
  commands: fc.array(fc.tuple(fc.constantFrom(...kinds), fc.constantFrom('charge', 'ltAudit')), { maxLength: 4 }),
});
const threads: readonly RecordedThread[] = [
  main,
  { ...main, threadNo: 2, hookNo: 0 },
  { ...main, threadNo: 3, hookNo: 1 },
];

it('of any history: numbers in a row, times in order, each end behind its own start, counts of what is there', () => {
  fc.assert(
    fc.property(fc.array(aStep, { maxLength: 40 }), fc.boolean(), fc.boolean(), (plan, hidesSystem, omitsResults) => {
      let now = 900; // a clock behind the database's
      const tellers = threads.map((thread) => new Teller(thread, 0));
      const steps = plan.map(({ thread, after, end, commands }) => {
        now += after;
        const teller = tellers[thread] as Teller;
        const event: Event = end === null ? { kind: 'start' } : end[1](end[0]);
        const step = teller.step(
          event,
          commands.map(([kind, name], at) => command(kind, at + 1, {}, name)),
        );
        return { thread: teller.thread, step: { ...step, now } };
      });
      const { events, summary } = tell(steps, {
        exclude_system: hidesSystem,
        omit_results: omitsResults,
        enrich_inputs: true,
      });

      expect(events.map(({ event_id }) => event_id)).toEqual(events.map((_, at) => at + 1));
      const times = events.map(({ event_time }) => event_time);
      expect(times).toEqual([...times].sort());
      expect(times.slice(1).every((time) => time > (times[0] as string))).toBe(true);
      const ends = new Set<number>();
      for (const { event_id, event_type, duration_ms, attributes } of events) {
        const refs = attributes as unknown as Record<string, number | undefined>;
        const startId = refs.scheduled_event_id ?? refs.initiated_event_id;
        const isEnd = /completed|failed|fired|signaled/.test(event_type);
        expect(startId !== undefined).toBe(isEnd);
        expect(duration_ms === null).toBe(!isEnd);
        if (startId === undefined) continue;
        expect(startId).toBeLessThan(event_id);
        expect(ends.has(startId)).toBe(false);
        ends.add(startId);
        const start = events[startId - 1]?.attributes as unknown as Record<string, unknown>;
        expect(start.timeline_key).toBe(refs.timeline_key);
      }
      const count = (type: string) => events.filter(({ event_type }) => event_type === type).length;
      const system = events.filter((e) => e.is_system && e.event_type === 'activity_task_scheduled').length;
      expect(summary).toEqual({
        total_events: events.length,
        activities: {
          total: count('activity_task_scheduled'),
          completed: count('activity_task_completed'),
          failed: count('activity_task_failed'),
          system,
          user: count('activity_task_scheduled') - system,
        },
        child_workflows: {
          total: count('child_workflow_execution_started'),
          completed: count('child_workflow_execution_completed'),
          failed: count('child_workflow_execution_failed'),
        },
        timers: count('timer_started'),
        signals: count('workflow_execution_signaled'),
      });
      if (hidesSystem) expect(events.some(({ is_system }) => is_system)).toBe(false);
      if (omitsResults) expect(JSON.stringify(events)).not.toMatch(/"(input|result)":/);
    }),
  );
});
