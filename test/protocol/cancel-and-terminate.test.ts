import { describe, expect, it } from 'vitest';
import { fetchResults } from '../../src/postgres/protocol/executions.js';
import {
  cancel,
  child,
  claim,
  claimOnly,
  commitOne,
  complete,
  entry,
  hookOf,
  mailOf,
  nextNumber,
  onEveryDatabase,
  park,
  register,
  running,
  send,
  signal,
  start,
  startAll,
  startItem,
  step,
  task,
  terminate,
  terms,
  timer,
  uncall,
  wait,
  waiting,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

onEveryDatabase('cancel', (session) => {
  it('wakes a parked workflow, and tells it once', async () => {
    const worker = await register(session());
    await waiting(session(), worker, 'a', 'go');
    expect(await cancel(session(), 'a')).toBe(true);
    const asked = await stateOf(session());
    expect(asked).toMatchObject({
      executions: [{ state: 'open', cancel: true }],
      threads: [{ state: 'ready' }],
      inbox: [{ kind: 'cancel', op: null }],
    });
    expect(await cancel(session(), 'a')).toBe(true);
    expect(await stateOf(session())).toEqual(asked);
  });

  it('tells the owner of a running workflow', async () => {
    const worker = await register(session());
    await running(session(), worker, 'a');
    expect(await cancel(session(), 'a')).toBe(true);
    expect(session().rows).toMatchObject([{ hints: `w${worker.no}` }]);
    expect(await mailOf(session(), worker)).toMatchObject([{ kind: 'cancel', op: null, payload: null }]);
  });

  it('is not told again once the workflow has heard of it', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await cancel(session(), 'a');
    const [mail] = await mailOf(session(), worker);
    await step(session(), thread, { consumes: [mail!.inbox_no] });
    await cancel(session(), 'a');
    expect(await mailOf(session(), worker)).toEqual([]);
  });

  it('is silent about a workflow that is unknown or has ended, whose outcome stays', async () => {
    expect(await cancel(session(), 'nowhere')).toBe(false);
    const thread = await running(session(), await register(session()), 'a');
    await complete(session(), thread);
    const before = await stateOf(session());
    expect(await cancel(session(), 'a')).toBe(false);
    expect(await stateOf(session())).toEqual(before);
  });

  it('tells every thread of the run', async () => {
    const worker = await register(session());
    const thread = await waiting(session(), worker, 'a', 'go');
    await hookOf(session(), thread, 'owned');
    await cancel(session(), 'a');
    const { inbox } = await stateOf(session());
    expect(inbox).toMatchObject([
      { thread: 'a/0', kind: 'cancel' },
      { thread: 'a/0#2', kind: 'cancel', worker: 'worker' },
    ]);
  });

  it('passes on to the awaited child that the workflow gives up, and to no other', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    const detached = child(1, 'detached', { awaited: false });
    await step(session(), parent, { opens: 3, effects: [child(0, 'given-up'), detached, child(2, 'kept')] });
    await step(session(), parent, { resolves: [0], effects: [uncall(0), uncall(1)] });
    const { executions } = await stateOf(session());
    expect(executions?.map(({ run, cancel: asked }) => [run, asked])).toEqual([
      ['detached/0', false],
      ['given-up/0', true],
      ['kept/0', false],
      ['parent/0', false],
    ]);
  });
});

onEveryDatabase('terminate', (session) => {
  it('ends a workflow wherever it stands, and leaves nothing behind', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 3, effects: [timer(0, 60_000), wait(1, 'go'), task(2)] });
    await signal(session(), 'go');
    expect(await terminate(session(), 'a', { failure: '{"message":"stop"}' })).toBe('terminated');
    expect(await stateOf(session())).toMatchObject({
      executions: [{ state: 'terminated' }],
      threads: [{ state: 'done', owner: null, claimable: false }],
      history: [{ seq: 0 }, { seq: 1, closes: true, worker: null, result: '{"message":"stop"}' }],
      inbox: [],
      timers: [],
      waits: [],
      tasks: [],
    });
    expect(await fetchResults(session(), SCHEMA, [thread.chain_no])).toMatchObject([
      { state: 'terminated', result: '{"message":"stop"}' },
    ]);
    expect(await claim(session(), worker)).toEqual([]);
  });

  it('fences the owner, whose next commit has no effect', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await terminate(session(), 'a');
    const before = await stateOf(session());
    const effects = [timer(0, 0), task(1), child(2, 'child'), send(3, 'go')];
    const item = entry(thread, { opens: 4, effects, closing: 'completed', result: '1' });
    expect(await commitOne(session(), thread, item)).toEqual({ status: 'fenced', detail: null });
    expect(await park(session(), thread, [0])).toBe('fenced');
    expect(await stateOf(session())).toEqual(before);
  });

  it('before anybody ran the workflow writes its only entry', async () => {
    await start(session(), 'a');
    expect(await terminate(session(), 'a')).toBe('terminated');
    expect(await stateOf(session())).toMatchObject({ history: [{ seq: 0, closes: true }] });
  });

  it('repeated by the same request says so; by another, that the workflow has ended', async () => {
    const requestNo = nextNumber();
    await start(session(), 'a');
    expect(await terminate(session(), 'a', { requestNo })).toBe('terminated');
    const before = await stateOf(session());
    expect(await terminate(session(), 'a', { requestNo })).toBe('again');
    expect(await terminate(session(), 'a')).toBe('completed');
    expect(await terminate(session(), 'nowhere')).toBe('unknown');
    expect(await stateOf(session())).toEqual(before);
  });

  it('never changes an outcome', async () => {
    const worker = await register(session());
    for (const closing of ['completed', 'failed', 'cancelled'] as const) {
      const thread = await running(session(), worker, closing);
      await step(session(), thread, { closing, result: '1' });
      const before = await stateOf(session());
      expect(await terminate(session(), closing)).toBe('completed');
      expect(await stateOf(session())).toEqual(before);
    }
  });

  it('tells the parent that its child failed, once', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    await step(session(), parent, { opens: 1, effects: [child(0, 'child')] });
    expect(await park(session(), parent, [0])).toBe('parked');
    const requestNo = nextNumber();
    for (let n = 0; n < 2; n++) await terminate(session(), 'child', { requestNo, failure: '"stopped"' });
    expect(await stateOf(session())).toMatchObject({
      inbox: [{ thread: 'parent/0', kind: 'fail', op: 0, payload: '"stopped"' }],
      threads: [{ state: 'done' }, { state: 'ready' }],
    });
  });

  it('of a parent leaves its children running', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    await step(session(), parent, { opens: 1, effects: [child(0, 'child')] });
    await terminate(session(), 'parent');
    const orphan = await claimOnly(session(), worker, 'child');
    await complete(session(), orphan);
    expect(await stateOf(session())).toMatchObject({
      inbox: [],
      executions: [{ state: 'completed' }, { state: 'terminated' }],
    });
  });

  describe('of a run with hooks', () => {
    it('ends every thread of it with an entry of its own', async () => {
      const worker = await register(session());
      const main = await running(session(), worker, 'a');
      await step(session(), main);
      const hook = await hookOf(session(), main, 'owned');
      await step(session(), hook, { body: '"hook"' });
      await hookOf(session(), main, 'parked');
      expect(await terminate(session(), 'a', { failure: '"x"' })).toBe('terminated');
      const { history, threads } = await stateOf(session());
      expect(threads?.map(({ state }) => state)).toEqual(['done', 'done', 'done']);
      expect(history?.filter(({ closes }) => closes).map(({ thread, seq, result }) => [thread, seq, result])).toEqual([
        ['a/0', 1, '"x"'],
        ['a/0#2', 1, null],
        ['a/0#3', 0, null],
      ]);
      expect(await commitOne(session(), hook, entry(hook))).toMatchObject({ status: 'fenced' });
    });
  });

  it('of a reservation ends it', async () => {
    await startAll(session(), [startItem('a', { terms: terms({ pendingMs: 60_000 }) })]);
    expect(await terminate(session(), 'a')).toBe('terminated');
    expect(await stateOf(session())).toMatchObject({
      executions: [{ state: 'terminated' }],
      threads: [{ state: 'done' }],
    });
  });
});

onEveryDatabase('the end of a main thread', (session) => {
  it('ends its hooks, whose owners are fenced', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    const main = await running(session(), worker, 'a');
    const hook = { ...(await hookOf(session(), main, 'owned', other)), worker: other };
    await step(session(), hook, { opens: 2, effects: [timer(0, 60_000), wait(1, 'go')] });
    await complete(session(), main);
    expect(await commitOne(session(), hook, entry(hook))).toMatchObject({ status: 'fenced' });
    expect(await stateOf(session())).toMatchObject({
      threads: [{ state: 'done' }, { state: 'done' }],
      timers: [],
      waits: [],
    });
  });

  it('is not the end of the run when it was a hook that ended', async () => {
    const worker = await register(session());
    const main = await running(session(), worker, 'a');
    const hook = await hookOf(session(), main, 'owned');
    await step(session(), hook, { closing: 'completed', result: '1' });
    expect(await stateOf(session())).toMatchObject({
      executions: [{ state: 'open' }],
      threads: [{ state: 'owned' }, { state: 'done' }],
    });
    await step(session(), main);
  });
});
