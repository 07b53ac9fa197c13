/** Exports are made from the histories: what runs is in them, every end names its start, and nothing is made up. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Client,
  Errors,
  uuid,
  type WorkflowExecution,
  type WorkflowExecutionEvent,
  type WorkflowHandle,
  workflow,
} from '../src/index.js';
import { sealingCodec } from './support/sealing-codec.js';
import { watchedClient } from './support/watched-driver.js';
import { describeInBothTempos, Engine, gate, kept, retryAtOnce, until } from './support/worker.js';

const taskQueue = 'test';
const doors = new Map<string, ReturnType<typeof gate>>();

const activities = {
  async greet(name: string) {
    return `hello ${name}`;
  },
  async refuse(why: string) {
    throw new Errors.DurableFatalError(why);
  },
  /** Its name says: of the system. */
  async ltAudit() {
    return 'audited';
  },
  async waitAt(door: string) {
    await doors.get(door)?.passed;
    return 'through';
  },
};
const { greet, refuse, ltAudit, waitAt } = workflow.proxyActivities<typeof activities>();

async function order(id: string) {
  const search = await workflow.search();
  await search.set({ customer: 'c-1' });
  const greeting = await greet(id);
  await workflow.sleep(5);
  const refused = await refuse(`no ${id}`).catch((error: Error) => error.message);
  await ltAudit();
  const parcel = await workflow.executeChild<string>({ workflowName: 'ship', args: [id], workflowId: `${id}-parcel` });
  await workflow.startChild({ workflowName: 'ship', args: [id], workflowId: `${id}-letter` });
  const approved = await workflow.condition<string>('approved');
  const late = await workflow.condition('never', 5);
  return { greeting, refused, parcel, approved, late };
}

async function ship(id: string) {
  return `parcel of ${id}`;
}

async function lost(id: string): Promise<void> {
  throw new Errors.DurableFatalError(`${id} is lost`);
}

async function branches(door: string) {
  return await Promise.all([
    greet('a'),
    greet('b'),
    waitAt(door),
    workflow.executeChild({ workflowName: 'lost', args: ['it'] }).catch((error: Error) => error.message),
    workflow.sleep('1 hour').catch((error: Error) => error.name),
    workflow.condition('nobody sends it').catch((error: Error) => error.name),
  ]);
}

async function fails(message: string) {
  await greet('once');
  throw new Errors.DurableFatalError(message);
}

async function nothing() {
  return 'at once';
}

async function rounds(left: number): Promise<string> {
  await workflow.sleep(2);
  await greet(`${left}`);
  if (left > 0) await workflow.continueAsNew(left - 1);
  return 'done';
}

async function hooked() {
  const answer = await workflow.execHook<string>({ taskQueue, workflowName: 'answers', args: ['question'] });
  await workflow.signal('heard', answer);
  return answer;
}

async function answers(text: string, { signal }: { signal: string }) {
  const greeting = await greet(text);
  await workflow.signal(signal, greeting);
}

async function sessions() {
  const search = await workflow.search();
  await search.set({ a: 1, b: 'two' });
  await search.incr('a', 2);
  const entity = await workflow.entity();
  await entity.set({ tags: ['x'] });
  await entity.append('tags', 'y');
  if (await workflow.patched('newer')) await workflow.emit({ seen: 1 });
  await workflow.startChild({ workflowName: 'ship', args: [1], workflowId: `${workflow.workflowInfo().workflowId}-c` });
}

async function tree(depth: number): Promise<number> {
  return depth === 0 ? 0 : 1 + (await workflow.executeChild<number>({ workflowName: 'tree', args: [depth - 1] }));
}

async function many(count: number) {
  let made = 0;
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (; made < count; ) await greet(`${made++}`);
    }),
  );
}

const functions = { order, ship, lost, branches, fails, nothing, rounds, hooked, answers, sessions, tree, many };

const typesOf = ({ events }: WorkflowExecution) => events.map(({ event_type }) => event_type);
const ofType = ({ events }: Pick<WorkflowExecution, 'events'>, type: WorkflowExecutionEvent['event_type']) =>
  events.filter(({ event_type }) => event_type === type);

/** What holds of every export. */
function expectSound({ events, summary, start_time, close_time, status }: WorkflowExecution): void {
  expect(events.map(({ event_id }) => event_id)).toEqual(events.map((_, index) => index + 1));
  const times = events.map(({ event_time }) => event_time);
  expect(times).toEqual([...times].sort());
  expect(start_time).toBe(times[0]);
  expect(close_time).toBe(status === 'running' ? null : times.at(-1));
  expect(summary.total_events).toBe(events.length);
  const ended = new Set<number>();
  for (const { event_id, attributes } of events) {
    const { scheduled_event_id, initiated_event_id, timeline_key } = attributes as unknown as Record<string, number>;
    const startId = scheduled_event_id ?? initiated_event_id;
    if (startId === undefined) continue;
    expect(startId).toBeLessThan(event_id);
    expect(ended.has(startId)).toBe(false);
    ended.add(startId);
    expect(events[startId - 1]?.attributes).toMatchObject({ timeline_key });
    expect(events[startId - 1]?.event_type).toMatch(/started$|scheduled$/);
  }
}

describeInBothTempos('an export', { workflow: functions, activities }, (engine) => {
  const exported = async (handle: WorkflowHandle, options?: Parameters<WorkflowHandle['exportExecution']>[0]) => {
    const execution = await handle.exportExecution(options);
    expectSound(execution);
    return execution;
  };

  it('has an event for each thing that happened, with its values and its start', async () => {
    const id = uuid();
    const handle = await engine().start('order', [id], { workflowId: id });
    await handle.signal('approved', 'by Ann');
    const result = await engine().result(handle);
    const execution = await exported(handle, { enrich_inputs: true });
    expect(typesOf(execution)).toEqual([
      'workflow_execution_started',
      'activity_task_scheduled',
      'activity_task_completed',
      'timer_started',
      'timer_fired',
      'activity_task_scheduled',
      'activity_task_failed',
      'activity_task_scheduled',
      'activity_task_completed',
      'child_workflow_execution_started',
      'child_workflow_execution_completed',
      'child_workflow_execution_started',
      'signal_wait_started',
      'workflow_execution_signaled',
      'signal_wait_started',
      'timer_fired',
      'workflow_execution_completed',
    ]);
    expect(execution).toMatchObject({
      workflow_id: id,
      workflow_type: 'order',
      task_queue: taskQueue,
      status: 'completed',
      result,
      summary: {
        activities: { total: 3, completed: 2, failed: 1, system: 1, user: 2 },
        child_workflows: { total: 2, completed: 1, failed: 0 },
        timers: 1,
        signals: 1,
      },
    });
    const [started, scheduled, completed] = execution.events;
    expect(started?.attributes).toMatchObject({
      workflow_type: 'order',
      task_queue: taskQueue,
      input: { customer: 'c-1' },
    });
    expect(scheduled).toMatchObject({
      category: 'activity',
      is_system: false,
      duration_ms: null,
      attributes: { activity_type: 'greet', input: [id], timeline_key: '-proxy-2-', execution_index: 2 },
    });
    expect(completed?.attributes).toMatchObject({ result: `hello ${id}`, scheduled_event_id: 2, input: [id] });
    expect(completed?.duration_ms).toBe(
      Date.parse(completed?.event_time as string) - Date.parse(scheduled?.event_time as string),
    );
    expect(ofType(execution, 'timer_started')[0]?.attributes).toMatchObject({ duration_ms: 5 });
    expect(ofType(execution, 'activity_task_failed')[0]?.attributes).toMatchObject({
      activity_type: 'refuse',
      failure: { name: 'DurableFatalError', message: `no ${id}`, code: 598 },
    });
    expect(ofType(execution, 'child_workflow_execution_started').map(({ attributes }) => attributes)).toMatchObject([
      { child_workflow_id: `${id}-parcel`, awaited: true, input: [id] },
      { child_workflow_id: `${id}-letter`, awaited: false, input: [id] },
    ]);
    expect(ofType(execution, 'workflow_execution_signaled')[0]?.attributes).toMatchObject({
      signal_name: 'approved',
      input: 'by Ann',
    });
    expect(ofType(execution, 'timer_fired')[1]?.attributes).toMatchObject({ signal_name: 'never' });
    expect(execution.events.at(-1)).toMatchObject({ duration_ms: execution.duration_ms, attributes: { result } });
  });

  it('shows what runs: each start when it was scheduled, no end before it has happened', async () => {
    const door = uuid();
    doors.set(door, gate());
    const handle = await engine().start('branches', [door]);
    await until('the other branches have ended', async () => (await handle.exportExecution()).events.length >= 10);
    const running = await exported(handle);
    expect(running).toMatchObject({
      status: 'running',
      close_time: null,
      duration_ms: null,
      result: null,
      summary: {
        activities: { total: 3, completed: 2, failed: 0 },
        child_workflows: { total: 1, completed: 0, failed: 1 },
        timers: 1,
        signals: 0,
      },
    });
    expect(ofType(running, 'activity_task_scheduled').map(({ attributes }) => attributes)).toMatchObject([
      { activity_type: 'greet', timeline_key: '-proxy-1-' },
      { activity_type: 'greet', timeline_key: '-proxy-2-' },
      { activity_type: 'waitAt', timeline_key: '-proxy-3-' },
    ]);
    expect(ofType(running, 'child_workflow_execution_failed')[0]?.attributes).toMatchObject({
      failure: { message: 'it is lost', code: 598 },
    });
    expect(typesOf(running)).toEqual(expect.arrayContaining(['timer_started', 'signal_wait_started']));
    expect(typesOf(running)).not.toContain('timer_fired');
    const { timeline } = await handle.export({ allow: ['timeline'] });
    expect(timeline?.find(({ key }) => key === '-proxy-3-')?.value).toEqual({
      ac: expect.stringMatching(/^\d{14}\.\d{3}$/),
      job_id: expect.any(String),
    });

    doors.get(door)?.open(undefined);
    await until(
      'the activity is back',
      async () => (await handle.exportExecution()).summary.activities.completed === 3,
    );
    await handle.cancel();
    await engine().result(handle);
    const ended = await exported(handle);
    expect(ended).toMatchObject({ status: 'completed', summary: { timers: 1, signals: 0 } });
    expect(typesOf(ended)).not.toContain('workflow_execution_signaled');
    expect(typesOf(ended)).not.toContain('timer_fired');
    const cancelled = (await handle.export()).timeline?.find(({ key }) => key === '-cancelled-');
    expect(cancelled).toEqual({ key: '-cancelled-', value: 1, index: 6 });
  });

  it('says what a workflow failed with, and that one without operations completed', async () => {
    const failed = await engine().start('fails', ['out of paper']);
    await engine().failure(failed);
    const execution = await exported(failed);
    expect(execution).toMatchObject({ status: 'failed', result: null });
    expect(execution.events.at(-1)).toMatchObject({
      event_type: 'workflow_execution_failed',
      attributes: {
        failure: { name: 'DurableFatalError', message: 'out of paper', code: 598, stack: expect.any(String) },
      },
    });

    const quick = await engine().start('nothing');
    await engine().result(quick);
    const completed = await exported(quick, { enrich_inputs: true });
    expect(completed).toMatchObject({ status: 'completed', result: 'at once', close_time: expect.any(String) });
    expect(completed.events.map(({ attributes }) => attributes)).toEqual([
      { kind: 'workflow_execution_started', workflow_type: 'nothing', task_queue: taskQueue, input: [] },
      { kind: 'workflow_execution_completed', result: 'at once' },
    ]);
  });

  it('says why a workflow was terminated, with nothing made up about what it waited for', async () => {
    const door = uuid();
    doors.set(door, gate());
    const handle = await engine().start('branches', [door]);
    await until('it waits', async () => (await handle.exportExecution()).events.length >= 10);
    await handle.terminate({ reason: 'a mistake', code: 444 });
    doors.get(door)?.open(undefined);
    const execution = await exported(handle);
    expect(execution.status).toBe('failed');
    expect(execution.events.at(-1)?.attributes).toMatchObject({
      failure: { message: 'a mistake', code: 444, job_id: handle.workflowId },
    });
    expect(typesOf(execution)).not.toContain('workflow_execution_signaled');
    const { state, status } = await handle.export();
    expect(status).toBeLessThan(-1e6);
    expect(state?.data.done).toBe(false);
    expect(JSON.parse(state?.metadata.err ?? '{}')).toMatchObject({ message: 'a mistake', code: 444 });
  });

  it('follows a workflow through continueAsNew, each run under keys of its own', async () => {
    const handle = await engine().start('rounds', [2]);
    await engine().result(handle);
    const execution = await exported(handle, { enrich_inputs: true });
    expect(ofType(execution, 'workflow_execution_started')).toHaveLength(1);
    expect(execution.events[0]?.attributes).toMatchObject({ input: [2] });
    expect(ofType(execution, 'activity_task_completed').map(({ attributes }) => attributes)).toMatchObject([
      { timeline_key: '-proxy-2-', result: 'hello 2' },
      { timeline_key: '-proxy$1-2-', result: 'hello 1' },
      { timeline_key: '-proxy$2-2-', result: 'hello 0' },
    ]);
    expect(execution).toMatchObject({ result: 'done', summary: { timers: 3, activities: { total: 3 } } });
    const { timeline, data } = await handle.export();
    expect(timeline?.map(({ key, dimension }) => [key, dimension])).toEqual([
      ['-sleep-1-', undefined],
      ['-proxy-2-', undefined],
      ['-sleep$1-1-', '$1'],
      ['-proxy$1-2-', '$1'],
      ['-sleep$2-1-', '$2'],
      ['-proxy$2-2-', '$2'],
    ]);
    expect(data).toEqual({ arguments: [0] });
  });

  it('shows a run that was reset with what it took over, behind the runs it goes on from', async () => {
    const handle = await engine().start('rounds', [1]);
    await engine().result(handle);
    const before = await exported(handle);
    const fired = ofType(before, 'timer_fired')[1] as WorkflowExecutionEvent;
    const { entry } = fired.attributes as { entry: number };
    const again = await handle.reset({ toEntry: entry });
    await engine().result(again);
    const after = await exported(again);
    expect(typesOf(after)).toEqual(typesOf(before));
    const keys = ({ events }: WorkflowExecution) =>
      events.map(({ attributes }) => (attributes as { timeline_key?: string }).timeline_key);
    expect(keys(after)).toEqual(keys(before));
    const upTo = fired.event_id;
    expect(after.events.slice(0, upTo)).toEqual(before.events.slice(0, upTo));
    expect((after.close_time as string) > (before.close_time as string)).toBe(true);
  });

  it('has the operations of hooks among those of their workflow, under the dimension of each', async () => {
    const handle = await engine().start('hooked');
    await engine().result(handle);
    const execution = await exported(handle);
    expect(ofType(execution, 'activity_task_completed')[0]?.attributes).toMatchObject({
      timeline_key: '-proxy,0,0-1-',
      result: 'hello question',
    });
    expect(ofType(execution, 'workflow_execution_signaled')[0]?.attributes).toMatchObject({
      timeline_key: '-wait-2-',
      input: 'hello question',
    });
    const { timeline } = await handle.export();
    expect(
      timeline?.map(({ key, value, dimension }) => [key, typeof value === 'object' ? 'object' : value, dimension]),
    ).toEqual([
      ['-hook-1-', 1, undefined],
      ['-wait-2-', 'object', undefined],
      ['-signal-3-', 1, undefined],
      ['-proxy,0,0-1-', 'object', ',0,0'],
      ['-signal,0,0-2-', 1, ',0,0'],
    ]);
    expect(timeline?.[1]?.value).toMatchObject({
      type: 'wait',
      data: { data: 'hello question' },
      au: expect.any(String),
    });
  });

  it('lists each call by its position with what it gave, blank where values are not wanted', async () => {
    const handle = await engine().start('sessions', [], { search: { data: { team: 'blue' } }, workflowId: uuid() });
    await engine().result(handle);
    const { data, timeline, transitions, status, state } = await handle.export();
    expect(data).toEqual({ arguments: [], team: 'blue', a: '3', b: 'two' });
    expect(status).toBe(0);
    expect(state).toMatchObject({ data: { done: true }, metadata: { jid: handle.workflowId, js: 0, aid: 'trigger' } });
    const child = `${handle.workflowId}-c`;
    expect(timeline).toEqual([
      { key: '-search-1-0-', value: 2, index: 1, secondary: 0 },
      { key: '-search-1-1-', value: 3, index: 1, secondary: 1 },
      { key: '-entity-2-0-', value: '{"tags":["x"]}', index: 2, secondary: 0 },
      { key: '-entity-2-1-', value: '["x","y"]', index: 2, secondary: 1 },
      { key: '-patch-newer-', value: true, index: 2 },
      { key: '-emit-3-', value: 1, index: 3 },
      {
        key: '-start-4-',
        value: { data: child, ac: expect.any(String), au: expect.any(String), job_id: child },
        index: 4,
      },
    ]);
    expect(transitions?.[0]).toMatchObject({ activity: 'trigger', dimensions: '' });
    expect(transitions?.slice(1).every(({ activity, updated }) => activity === 'sessions' && updated >= '2')).toBe(
      true,
    );
    const sparse = await handle.export({ allow: ['timeline', 'status'], block: ['status'], values: false });
    expect(Object.keys(sparse)).toEqual(['timeline']);
    expect(sparse.timeline?.at(-1)?.value).toMatchObject({ data: {}, job_id: child });
  });

  it('leaves out what was not asked for', async () => {
    const id = uuid();
    const handle = await engine().start('order', [id], { workflowId: id });
    await handle.signal('approved', 'by Ann');
    await engine().result(handle);
    const execution = await exported(handle, { omit_results: true, exclude_system: true, enrich_inputs: true });
    expect(execution.result).toBeNull();
    expect(JSON.stringify(execution.events)).not.toMatch(/"(input|result)"|ltAudit|by Ann/);
    expect(execution.summary.activities).toEqual({ total: 2, completed: 1, failed: 1, system: 0, user: 2 });
    expect(ofType(execution, 'activity_task_failed')[0]?.attributes).toHaveProperty('failure.message', `no ${id}`);
    expect(execution).not.toHaveProperty('children');
    expect(execution).not.toHaveProperty('origin_id');
  });

  it('exports children with theirs, as deep as is asked for, each under its own name', async () => {
    const handle = await engine().start('tree', [3]);
    await engine().result(handle);
    const root = await handle.exportExecution({ mode: 'verbose', include_lineage: true });
    const depths: unknown[] = [];
    for (let at: WorkflowExecution | undefined = root; at !== undefined; at = at.children?.[0]) {
      expectSound(at);
      depths.push([at.result, at.parent_workflow_id === null, at.origin_id]);
    }
    const origin = handle.workflowId;
    expect(depths).toEqual([
      [3, true, null],
      [2, false, origin],
      [1, false, origin],
      [0, false, origin],
    ]);
    const shallow = await handle.exportExecution({ mode: 'verbose', max_depth: 1 });
    expect(shallow.children).toMatchObject([{ workflow_type: 'tree', children: [] }]);
    expect((await handle.exportExecution({ mode: 'verbose', max_depth: 0 })).children).toEqual([]);

    const id = uuid();
    const mixed = await engine().start('order', [id], { workflowId: id });
    await mixed.signal('approved');
    await engine().result(mixed);
    await engine().result(await engine().client.workflow.getHandle(taskQueue, 'ship', `${id}-letter`));
    expect((await mixed.exportExecution({ mode: 'verbose' })).children).toMatchObject([
      { workflow_id: `${id}-parcel`, workflow_type: 'ship', status: 'completed' },
      { workflow_id: `${id}-letter`, workflow_type: 'ship', status: 'completed' },
    ]);
  });
});

describe('an export', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.open({ workflow: functions, activities, tempo: kept });
  });
  afterAll(() => engine?.close());

  it('of a workflow that is not there is refused as not found', async () => {
    const nobody = await engine.client.workflow.getHandle(taskQueue, 'order', 'nobody');
    const notFound = { name: 'GetStateError', code: 404 };
    await expect(nobody.export()).rejects.toMatchObject(notFound);
    await expect(nobody.exportExecution()).rejects.toMatchObject(notFound);
    await expect(nobody.exporter.exportExecution('nobody either', 'test-order')).rejects.toMatchObject(notFound);
    await expect(nobody.exportEvents().next()).rejects.toMatchObject(notFound);
  });

  it('refuses options it does not know, naming the nearest', async () => {
    const handle = await engine.start('nothing');
    await expect(handle.export({ allow: ['timelines' as 'timeline'] })).rejects.toThrow(/allow.*timeline/s);
    await expect(handle.exportExecution({ maxDepth: 1 } as object)).rejects.toThrow(/max_depth/);
    await expect(handle.exportExecution({ max_depth: -1 })).rejects.toThrow(/max_depth/);
  });

  it('of a workflow that was terminated before any worker took it has its start and its end', async () => {
    const handle = await engine.client.workflow.start({ taskQueue: 'nobody', workflowName: 'nothing', args: [] });
    await handle.terminate({ throw: false });
    const execution = await handle.exportExecution();
    expectSound(execution);
    expect(execution.status).toBe('failed');
    expect(typesOf(execution)).toEqual(['workflow_execution_started', 'workflow_execution_failed']);
    expect(execution.events[1]?.attributes).toEqual({ kind: 'workflow_execution_failed' });
    expect((await handle.export()).timeline).toEqual([]);
  });

  it('of a reserved id has no events yet', async () => {
    const handle = await engine.start('nothing', [1], { pending: 60 });
    expect(await handle.exportExecution()).toMatchObject({ status: 'running', events: [], close_time: null });
    expect(await handle.export()).toMatchObject({ data: { arguments: [1] }, status: -1, timeline: [] });
    await handle.terminate();
  });

  it("does not take a stranger who has a child's id for the child", async () => {
    const id = uuid();
    await engine.result(await engine.start('ship', ['other'], { workflowId: `${id}-parcel` }));
    const handle = await engine.start('order', [id], {
      workflowId: id,
      config: { ...retryAtOnce, maximumAttempts: 0 },
    });
    await engine.failure(handle);
    const execution = await handle.exportExecution({ mode: 'verbose' });
    expectSound(execution);
    expect(execution.children).toEqual([]);
    expect(execution.summary.child_workflows).toEqual({ total: 1, completed: 0, failed: 1 });
    expect(ofType(execution, 'child_workflow_execution_failed')[0]?.attributes).toMatchObject({
      failure: { name: 'DuplicateJobError' },
    });
  });

  it('of a handle is of its own runs, whoever carries the id since', async () => {
    const workflowId = uuid();
    const first = await engine.start('fails', ['first'], { workflowId, search: { data: { by: 'Ann' } } });
    await engine.failure(first);
    const search = { data: { by: 'Bob' } };
    const second = await engine.start('nothing', [], { workflowId, search, workflowIdReusePolicy: 'ALLOW_DUPLICATE' });
    await engine.result(second);
    expect(await first.exportExecution()).toMatchObject({
      workflow_type: 'fails',
      status: 'failed',
      result: { by: 'Ann' },
    });
    expect(await first.queryState(['by'])).toEqual({ by: 'Ann' });
    expect((await first.export()).data).toEqual({ by: 'Ann', arguments: ['first'] });
    const newest = await engine.client.workflow.getHandle(taskQueue, 'nothing', workflowId);
    for (const handle of [second, newest]) {
      expect(await handle.exportExecution()).toMatchObject({ workflow_type: 'nothing', status: 'completed' });
      expect(await handle.queryState(['by'])).toEqual({ by: 'Bob' });
    }
  });

  it('opens what the codec sealed, and is refused where it cannot be opened', async () => {
    const connection = { ...engine.connection, codec: sealingCodec('k1') };
    const sealing = new Client({ connection });
    const queue = 'sealed';
    const { Worker } = await import('../src/index.js');
    const worker = await Worker.create({
      connection,
      taskQueue: queue,
      workflow: { fails, hooked: nothing },
      activities,
      options: { logLevel: 'silent', shutdownGrace: 200 },
    });
    try {
      const handle = await sealing.workflow.start({ taskQueue: queue, workflowName: 'fails', args: ['no luck'] });
      await expect(handle.result()).rejects.toThrow('no luck');
      const { events } = await handle.exportExecution({ enrich_inputs: true });
      expect(events[0]?.attributes).toMatchObject({ input: ['no luck'] });
      expect(events[2]?.attributes).toMatchObject({ input: ['once'], result: 'hello once' });
      const plain = await engine.client.workflow.getHandle(queue, 'fails', handle.workflowId);
      await expect(plain.exportExecution()).rejects.toMatchObject({ name: 'PayloadCodecError' });
      expect((await plain.export({ allow: ['status'] })).status).toBe(0);
    } finally {
      await worker.stop();
      await sealing.close();
    }
  });
});

describe('the export of a history of 10,000 events', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.open({ workflow: functions, activities, tempo: kept });
  });
  afterAll(() => engine?.close());

  it("is read a page at a time, as its events are asked for, and nobody else's history", async () => {
    for (let others = 0; others < 20; others++) await engine.start('nothing');
    const started = await engine.start('many', [5_000]);
    await engine.result(started);
    const pages: { threads: number[]; rows: number }[] = [];
    const Watched = watchedClient(({ text, rows }) => {
      if (text.includes('read_histories'))
        pages.push({ threads: rows.map(([threadNo]) => Number(threadNo)), rows: rows.length });
    });
    const client = new Client({ connection: { class: Watched, options: engine.connection.options } });
    try {
      const handle = await client.workflow.getHandle(taskQueue, 'many', started.workflowId);
      const events = handle.exportEvents();
      expect((await events.next()).value).toMatchObject({ event_id: 1, event_type: 'workflow_execution_started' });
      expect((await events.next()).value).toMatchObject({ event_id: 2 });
      expect(pages).toHaveLength(1);
      let last: WorkflowExecutionEvent | undefined;
      for await (const event of events) last = event;
      expect(last).toMatchObject({ event_id: 10_002, event_type: 'workflow_execution_completed' });
      expect(pages.length).toBeGreaterThan(3);
      expect(new Set(pages.flatMap(({ threads }) => threads)).size).toBe(1);
      expect(Math.max(...pages.map(({ rows }) => rows))).toBeLessThanOrEqual(200);
    } finally {
      await client.close();
    }
  });
});
