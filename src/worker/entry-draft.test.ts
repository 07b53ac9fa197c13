import { describe, expect, it } from 'vitest';
import { failureFromError } from '../core/failure.js';
import type { Command, CommandKind, CommandSpec, Event } from '../core/history.js';
import { defaultRetryPolicy } from '../core/retry-policy.js';
import { EntryDraft } from './entry-draft.js';
import type { OpenOperation } from './open-operation.js';

const { throwOnError: _, ...retry } = defaultRetryPolicy;
const specs: CommandSpec = {
  activity: { taskQueue: 'orders', args: '[1]', headers: null, retry, startToCloseMs: null },
  timer: { ms: 250 },
  wait: { signalId: 'go', timeoutMs: null },
  child: {
    workflowId: 'c-1',
    taskQueue: 'orders',
    args: '[2]',
    awaited: true,
    options: {
      expire: 5,
      entity: null,
      signalIn: true,
      config: null,
      search: null,
      parentWorkflowId: 'w-1',
      originId: 'w-1',
    },
  },
  hook: { workflowId: null, taskQueue: 'reviews', args: '[5]', signalId: null, config: null, search: null },
  signal: { signalId: 'go', payload: '3', expireMs: 9 },
  cancel: { ops: [] },
  terminate: { workflowId: 'other', failure: null, expireS: null, descend: false },
  marker: {},
  search: { n: 1, args: '["a",1]' },
  entity: { n: 2, args: '[["a"],1]' },
  patch: {},
  emit: { events: [{ topic: 'packed', payload: '4' }] },
  trace: { attributes: '{"boxes":2}' },
  retry: { attempt: 1, delayMs: 70, failure: failureFromError(new Error('x')) },
  complete: { result: '"done"' },
  fail: { failure: failureFromError(new Error('x')), cancelled: false },
  continue: { args: '[4]' },
};

const command = <K extends CommandKind>(kind: K, spec: Partial<CommandSpec[K]> = {}, name = ''): Command =>
  ({ kind, name, fingerprint: 0, counter: 0, spec: { ...specs[kind], ...spec } }) as Command;

const thread = { threadNo: 7, epoch: 2, seq: 4, lastCommitNo: 99, isHook: false };
const defaults = { taskQueue: 'orders', retry };
const start: Event = { kind: 'start' };

/** Drafts an entry over what is open, and says what it holds. */
function drafted(open: Map<number, OpenOperation>, ...steps: [Event, ...(readonly [op: number | null, Command])[]][]) {
  const draft = new EntryDraft(open, (_queue, name) => name === 'eager');
  for (const [event, ...produced] of steps)
    draft.add(
      event,
      0,
      produced.map(([op, one]) => ({ op, command: one })),
    );
  return { draft, open, item: draft.item(thread, defaults) };
}

describe('what a command does to the database', () => {
  it('another workflow is terminated', () => {
    const { item, draft } = drafted(new Map(), [
      start,
      [0, command('terminate', { workflowId: 'w-2', failure: '"x"', expireS: 7, descend: true })],
      [1, command('terminate', { workflowId: 'w-3' })],
    ]);
    expect(item.effects).toEqual([
      { kind: 'terminate', op: 0, key: 'w-2', value: '"x"', number: 7, extra: 'descend' },
      { kind: 'terminate', op: 1, key: 'w-3', value: null, extra: '' },
    ]);
    expect(draft.decided).toEqual([0, 1]);
  });

  it('an activity that is given up in the step that calls it does not begin', () => {
    const { item, draft } = drafted(new Map(), [
      start,
      [0, command('activity', {}, 'eager')],
      [1, command('activity', {}, 'eager')],
      [2, command('cancel', { ops: [0] })],
    ]);
    expect([draft.eager, draft.decided, item.effects]).toEqual([[1], [2], []]);
  });

  it('a timer is armed', () => {
    const { item, draft } = drafted(new Map(), [start, [0, command('timer')]]);
    expect(item.effects).toEqual([{ kind: 'timer', op: 0, number: 250 }]);
    expect(draft.timers).toEqual([{ op: 0, ms: 250 }]);
  });

  it('an activity becomes a task, with all that any worker needs', () => {
    const { item, draft, open } = drafted(new Map(), [start, [0, command('activity', {}, 'charge')]]);
    expect(item.effects).toEqual([
      { kind: 'task', op: 0, key: 'orders', extra: 'charge', value: expect.stringContaining('"args":[1]') as string },
    ]);
    expect(draft.eager).toEqual([]);
    expect(open.get(0)).toMatchObject({ hasTask: true });
  });

  it('an activity that this process runs itself becomes none', () => {
    const { item, draft, open } = drafted(new Map(), [start, [0, command('activity', {}, 'eager')]]);
    expect(item.effects).toEqual([]);
    expect(draft.eager).toEqual([0]);
    expect(open.get(0)).toMatchObject({ hasTask: false });
  });

  it('a wait is registered, and timed', () => {
    const { item } = drafted(new Map(), [start, [0, command('wait')], [1, command('wait', { timeoutMs: 30 })]]);
    expect(item.effects).toEqual([
      { kind: 'wait', op: 0, key: 'go' },
      { kind: 'wait', op: 1, key: 'go' },
      { kind: 'timer', op: 1, number: 30 },
    ]);
  });

  it('a child is started; only the start of one that is not awaited is decided', () => {
    const { item, draft } = drafted(new Map(), [
      start,
      [0, command('child', {}, 'ship')],
      [1, command('child', { awaited: false }, 'ship')],
    ]);
    expect(item.effects[0]).toMatchObject({ kind: 'child', op: 0, key: 'c-1', value: '[2]' });
    expect(JSON.parse(item.effects[0]?.extra ?? '')).toMatchObject({
      taskQueue: 'orders',
      workflowName: 'ship',
      awaited: true,
      expire: 5,
    });
    expect(draft.decided).toEqual([1]);
  });

  it('a hook is opened, in another workflow by its id; the opening of one that is not awaited is decided', () => {
    const { item, draft } = drafted(new Map(), [
      start,
      [0, command('hook', {}, 'review')],
      [1, command('hook', { workflowId: 'w-2', signalId: 'back', config: '{}', search: { a: '1' } }, 'review')],
    ]);
    expect(item.effects).toEqual([
      { kind: 'hook', op: 0, value: '[5]', extra: expect.stringContaining('"signalId":null') as string },
      { kind: 'hook', op: 1, key: 'w-2', value: '[5]', extra: expect.stringContaining('"signalId":"back"') as string },
      { kind: 'wait', op: 1, key: 'back' },
    ]);
    expect(JSON.parse(item.effects[1]?.extra ?? '')).toEqual({
      taskQueue: 'reviews',
      workflowName: 'review',
      signalId: 'back',
      config: '{}',
      search: { a: '1' },
    });
    expect(draft.decided).toEqual([0]);
  });

  it('a signal is sent, and its delivery decided', () => {
    const { item, draft } = drafted(new Map(), [start, [0, command('signal')]]);
    expect(item.effects).toEqual([{ kind: 'signal', op: 0, key: 'go', value: '3', number: 9 }]);
    expect(draft.decided).toEqual([0]);
  });

  it('events are emitted and their topics recorded; a span is reported once it is durable', () => {
    const { item, draft } = drafted(new Map(), [start, [null, command('emit')], [null, command('trace')]]);
    expect(item.effects).toEqual([{ kind: 'emit', op: 0, key: 'packed', value: '4' }]);
    expect(item.openedCount).toBe(0);
    expect(item.body).toContain('["emit","",0,0,{"topics":["packed"]}]');
    expect(item.body).toContain('["trace","",0,0,{"attributes":{"boxes":2}}]');
    expect(draft.spans).toEqual([{ boxes: 2 }]);
  });

  it('a side effect that is not recorded goes out in its place among the others, and stands in no history', () => {
    const draft = new EntryDraft(new Map(), () => false);
    const emits = (topic: string) => command('emit', { events: [{ topic, payload: null }] });
    draft.repeat([{ op: null, command: emits('repeated'), unrecorded: true }]);
    expect(draft.empty).toBe(true); // nothing to commit for its sake
    draft.add(start, 0, [
      { op: null, command: emits('first') },
      { op: null, command: emits('second'), unrecorded: true },
      { op: null, command: emits('third') },
    ]);
    const { effects, body } = draft.item(thread, defaults);
    expect(effects.map(({ key }) => key)).toEqual(['repeated', 'first', 'second', 'third']);
    expect(body.match(/"emit"/g)).toHaveLength(2);
    expect(body).not.toContain('second');
  });

  it('a patch marker stands in the history only', () => {
    const { item } = drafted(new Map(), [start, [null, command('patch', {}, 'p')]]);
    expect(item.effects).toEqual([]);
    expect(item.openedCount).toBe(0);
    expect(item.body).toContain('["patch","p"');
  });

  it('a failed attempt is timed', () => {
    const { item, draft } = drafted(new Map(), [start, [0, command('retry')]]);
    expect(item.effects).toEqual([{ kind: 'timer', op: 0, number: 70 }]);
    expect(draft.attemptFailed).toBe(true);
    expect(item.closing).toBeNull();
  });

  it.each<[CommandKind, object, string, string]>([
    ['complete', {}, 'completed', '"done"'],
    ['continue', {}, 'continued', '[4]'],
    ['fail', {}, 'failed', '"message":"x"'],
    ['fail', { cancelled: true }, 'cancelled', '"message":"x"'],
  ])('%s %j closes the thread as %s', (kind, spec, closing, result) => {
    const { item, draft } = drafted(new Map(), [start, [null, command(kind, spec)]]);
    expect(item.closing).toBe(closing);
    expect(item.result).toContain(result);
    expect(draft.closes).toBe(true);
  });
});

describe('what an event does to the database', () => {
  const opened = (...commands: Command[]) => {
    const open = new Map<number, OpenOperation>();
    drafted(open, [start, ...commands.map((one, op) => [op, one] as const)]);
    return open;
  };

  it.each<[string, Command, Event, object[]]>([
    [
      'a timer that fires is taken out, when it is due',
      command('timer'),
      { kind: 'fire', op: 0 },
      [{ kind: 'fire', op: 0 }],
    ],
    [
      'a timer that is cancelled is disarmed',
      command('timer'),
      { kind: 'cancel', ops: [0] },
      [{ kind: 'untimer', op: 0 }],
    ],
    [
      'a retry takes its timer out, due or not',
      command('retry'),
      { kind: 'retry', op: 0 },
      [{ kind: 'untimer', op: 0 }],
    ],
    ['a wait that was signalled is gone already', command('wait'), { kind: 'signal', op: 0, value: 1, text: '1' }, []],
    [
      'a timed wait that was signalled has its timer disarmed',
      command('wait', { timeoutMs: 5 }),
      { kind: 'signal', op: 0, value: 1, text: '1' },
      [{ kind: 'untimer', op: 0 }],
    ],
    [
      'a timed wait that found its signal has its timer disarmed',
      command('wait', { timeoutMs: 5 }),
      { kind: 'decided', op: 0, decision: { what: 'signal', value: 1 } },
      [{ kind: 'untimer', op: 0 }],
    ],
    [
      'a wait that timed out is withdrawn',
      command('wait', { timeoutMs: 5 }),
      { kind: 'fire', op: 0 },
      [
        { kind: 'fire', op: 0 },
        { kind: 'unwait', op: 0 },
      ],
    ],
    [
      'a wait that is cancelled is withdrawn',
      command('wait'),
      { kind: 'cancel', ops: [0] },
      [{ kind: 'unwait', op: 0 }],
    ],
    [
      'a hook whose signal came, or that failed, waits no more already',
      command('hook', { signalId: 'back' }, 'review'),
      { kind: 'fail', op: 0, failure: failureFromError(new Error('x')) },
      [],
    ],
    [
      'an awaited hook goes on when its caller is cancelled, who waits no more',
      command('hook', { signalId: 'back' }, 'review'),
      { kind: 'cancel', ops: [0] },
      [{ kind: 'unwait', op: 0 }],
    ],
    [
      'a task that is cancelled is withdrawn',
      command('activity', {}, 'charge'),
      { kind: 'cancel', ops: [0] },
      [{ kind: 'untask', op: 0 }],
    ],
    [
      'a task whose result comes from this process is withdrawn',
      command('activity', {}, 'charge'),
      { kind: 'done', op: 0, value: 1, text: '1' },
      [{ kind: 'untask', op: 0 }],
    ],
    [
      'an eager activity that is cancelled leaves nothing behind',
      command('activity', {}, 'eager'),
      { kind: 'cancel', ops: [0] },
      [],
    ],
    [
      'an awaited child is asked to cancel',
      command('child', {}, 'ship'),
      { kind: 'cancel', ops: [0] },
      [{ kind: 'uncall', op: 0 }],
    ],
    [
      'a child that completed needs nothing',
      command('child', {}, 'ship'),
      { kind: 'done', op: 0, value: 1, text: '1' },
      [],
    ],
    ['a decided signal needs nothing', command('signal'), { kind: 'decided', op: 0, decision: { what: 'usual' } }, []],
  ])('%s', (_what, one, event, effects) => {
    const open = opened(one);
    const { item } = drafted(open, [event]);
    expect(item.effects).toEqual(effects);
    expect(item.resolved).toEqual([0]);
    expect(open.size).toBe(0);
  });

  it('what is not open is resolved by nothing', () => {
    const { item } = drafted(new Map(), [{ kind: 'done', op: 5, value: 1, text: '1' }]);
    expect(item.resolved).toEqual([]);
    expect(item.effects).toEqual([]);
  });
});

describe('an entry', () => {
  it('names its place in the history, and what it opened and resolved', () => {
    const open = new Map<number, OpenOperation>([
      [0, { kind: 'timer' }],
      [1, { kind: 'timer' }],
    ]);
    const { item } = drafted(
      open,
      [{ kind: 'fire', op: 1 }, [2, command('timer')]],
      [{ kind: 'fire', op: 0 }, [3, command('timer')], [null, command('patch', {}, 'p')], [4, command('wait')]],
    );
    expect(item).toMatchObject({
      threadNo: 7,
      epoch: 2,
      seq: 4,
      previousCommitNo: 99,
      openedFrom: 2,
      openedCount: 3,
      resolved: [1, 0],
    });
    expect([...open.keys()]).toEqual([2, 3, 4]);
  });

  it('has a number of its own', () => {
    const numbers = Array.from({ length: 1_000 }, () => drafted(new Map()).item.commitNo);
    expect(new Set(numbers).size).toBe(1_000);
    expect(numbers.every(Number.isSafeInteger)).toBe(true);
  });

  it('of a hook locks its thread', () => {
    const draft = new EntryDraft(new Map(), () => false);
    draft.add(start, 0, [{ op: 0, command: command('timer') }]);
    expect(draft.item({ ...thread, isHook: true }, defaults).effects).toEqual([
      { kind: 'timer', op: 0, number: 250 },
      { kind: 'own', op: -1 },
    ]);
  });

  it('is empty until something is added or taken in', () => {
    const draft = new EntryDraft(new Map(), () => false);
    expect(draft.empty).toBe(true);
    draft.consume(12);
    expect(draft.empty).toBe(false);
    expect(draft.item(thread, defaults)).toMatchObject({ consumed: [12], body: '[]' });
  });

  it('is full when it is long, or large', () => {
    const long = new EntryDraft(new Map(), () => false);
    for (let n = 0; n < 1_000; n++) {
      expect(long.full).toBe(false);
      long.add(start, 0, []);
    }
    expect(long.full).toBe(true);
    const large = new EntryDraft(new Map(), () => false);
    const text = JSON.stringify('x'.repeat(9 * 1_048_576));
    large.add({ kind: 'done', op: 0, value: null, text }, 0, []);
    expect(large.full).toBe(true);
  });
});
