import { describe, expect, it } from 'vitest';
import { fetchOwned } from '../../src/postgres/protocol/threads.js';
import {
  claimOnly,
  commitOne,
  complete,
  entry,
  finish,
  mailOf,
  onEveryDatabase,
  outcomeOf,
  park,
  queue,
  register,
  release,
  running,
  setClock,
  step,
  type Thread,
  takeTasks,
  task,
  taskItem,
  untask,
  type Worker,
} from '../support/protocol.js';
import { queryOf, SCHEMA } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

onEveryDatabase('an activity task', (session) => {
  /** A parked workflow with tasks 0, 1, ... */
  async function scheduled(worker: Worker, count = 1): Promise<Thread> {
    const thread = await running(session(), worker, 'a');
    const ops = Array.from({ length: count }, (_, op) => op);
    await step(session(), thread, { opens: count, effects: ops.map((op) => task(op, `act-${op}`)) });
    expect(await park(session(), thread, ops)).toBe('parked');
    return thread;
  }

  const tasks = async () => (await stateOf(session())).tasks;

  it('is claimed by a worker of its queue, with all that is needed to run it', async () => {
    const worker = await register(session());
    const elsewhere = await register(session(), 'elsewhere', {
      services: [{ kind: 'activity', taskQueue: 'other', name: '' }],
    });
    const thread = await scheduled(worker);
    expect(await takeTasks(session(), elsewhere)).toEqual([]);
    expect(await takeTasks(session(), worker)).toMatchObject([
      {
        thread_no: thread.thread_no,
        op: 0,
        epoch: 1,
        attempt: 1,
        losses: 0,
        name: 'act-0',
        input: '[]',
        last_failure: null,
        workflow_id: 'a',
        run_no: thread.run_no,
        request_no: thread.request_no,
        workflow_name: 'flow',
        workflow_queue: 'queue',
      },
    ]);
    expect(await takeTasks(session(), worker)).toEqual([]);
  });

  it('claimed by the same number again is answered again, and no other is taken', async () => {
    const worker = await register(session());
    await scheduled(worker, 3);
    const first = await takeTasks(session(), worker, { claimNo: 7, limit: 2 });
    expect(first).toHaveLength(2);
    const again = await takeTasks(session(), worker, { claimNo: 7, limit: 2 });
    expect(again.sort((one, other) => one.op - other.op)).toEqual(first.sort((one, other) => one.op - other.op));
    expect(await takeTasks(session(), worker)).toHaveLength(1);
  });

  it.each(['done', 'fail'] as const)('that is %s tells its parked thread, once', async (kind) => {
    const worker = await register(session());
    const thread = await scheduled(worker);
    const [taken] = await takeTasks(session(), worker);
    const outcome = outcomeOf(taken!, kind, '{"r":1}');
    expect(await finish(session(), worker, [outcome])).toBe(`q${thread.service_no}`);
    const after = await stateOf(session());
    expect(after).toMatchObject({
      tasks: [],
      threads: [{ state: 'ready' }],
      inbox: [{ kind, op: 0, payload: '{"r":1}' }],
    });
    expect(await finish(session(), worker, [outcome])).toBeNull();
    expect(await stateOf(session())).toEqual(after);
  });

  it('that is done tells the owner of a running thread', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1, effects: [task(0)] });
    const [taken] = await takeTasks(session(), worker);
    expect(await finish(session(), worker, [outcomeOf(taken!, 'done', '1')])).toBe(`w${worker.no}`);
    expect(await mailOf(session(), worker)).toMatchObject([{ kind: 'done', op: 0, payload: '1' }]);
    expect(await park(session(), thread, [0])).toBe('mail');
  });

  it('that failed waits for its next attempt', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    await scheduled(worker);
    const [first] = await takeTasks(session(), worker);
    const retry = outcomeOf(first!, 'retry', '"boom"', 60_000);
    await finish(session(), worker, [retry]);
    await finish(session(), worker, [retry]);
    expect(await takeTasks(session(), other)).toEqual([]);
    await setClock(session(), '61 seconds');
    expect(await takeTasks(session(), other)).toMatchObject([
      { attempt: 2, losses: 0, epoch: 2, last_failure: '"boom"' },
    ]);
  });

  it('that is given back unharmed is the same attempt for the next worker', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    await scheduled(worker);
    const [first] = await takeTasks(session(), worker);
    await finish(session(), worker, [outcomeOf(first!, 'release')]);
    expect(await takeTasks(session(), other)).toMatchObject([{ attempt: 1, losses: 0, epoch: 2 }]);
  });

  it('is left alone by a worker whose task it is not any more, and the others of the call are not', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    await scheduled(worker, 2);
    const [one, two] = (await takeTasks(session(), worker)).sort((a, b) => a.op - b.op);
    await finish(session(), worker, [outcomeOf(one!, 'release')]);
    const [mine] = await takeTasks(session(), other);
    expect(mine?.op).toBe(0);
    const late = ['done', 'fail', 'retry', 'release'] as const;
    await finish(session(), worker, [
      ...late.map((kind) => outcomeOf(one!, kind, '"late"')),
      outcomeOf(two!, 'done', '"ok"'),
    ]);
    expect(await stateOf(session())).toMatchObject({
      tasks: [{ op: 0, owner: 'other', attempt: 1 }],
      inbox: [{ op: 1, payload: '"ok"' }],
    });
    await finish(session(), other, [outcomeOf(mine!, 'done')]);
    expect(await tasks()).toEqual([]);
  });

  it('claimed again by the same worker is not finished by its earlier claim', async () => {
    const worker = await register(session());
    await scheduled(worker);
    const [first] = await takeTasks(session(), worker);
    await finish(session(), worker, [outcomeOf(first!, 'release')]);
    await takeTasks(session(), worker);
    expect(await finish(session(), worker, [outcomeOf(first!, 'done')])).toBeNull();
    expect(await tasks()).toMatchObject([{ owner: 'worker', epoch: 2 }]);
  });

  it('ends with its workflow, and its outcome is not told to anybody', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1, effects: [task(0)] });
    const [taken] = await takeTasks(session(), other);
    await complete(session(), thread);
    expect(await finish(session(), other, [outcomeOf(taken!, 'done')])).toBeNull();
    expect(await stateOf(session())).toMatchObject({ tasks: [], inbox: [] });
  });

  it('that its workflow does not wait for any more is not claimed, and its outcome is dropped', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 2, effects: [task(0), task(1)] });
    const [taken] = await takeTasks(session(), other, { limit: 1 });
    await step(session(), thread, { resolves: [0, 1], effects: [untask(0), untask(1)] });
    expect(await finish(session(), other, [outcomeOf(taken!, 'done')])).toBeNull();
    expect(await takeTasks(session(), other)).toEqual([]);
    expect(await stateOf(session())).toMatchObject({ inbox: [] });
  });

  it('can be compared with what a worker holds', async () => {
    const worker = await register(session());
    await scheduled(worker, 2);
    await takeTasks(session(), worker, { claimNo: 10, limit: 1 });
    await takeTasks(session(), worker, { claimNo: 11, limit: 1 });
    const { tasks: old } = await fetchOwned(session(), SCHEMA, worker.no, 11);
    expect(old).toMatchObject([{ epoch: 1 }]);
    expect((await fetchOwned(session(), SCHEMA, worker.no, 12)).tasks).toHaveLength(2);
  });

  describe('made from an activity that ran in the process of its workflow', () => {
    it('is owned by that process when it still runs there', async () => {
      const worker = await register(session());
      const thread = await running(session(), worker, 'a');
      await step(session(), thread, { opens: 1 });
      expect(await queue(session(), worker, [taskItem(thread, 0, { claimNo: 5 })])).toEqual([]);
      expect(await tasks()).toMatchObject([{ op: 0, owner: 'worker', claimable: false, epoch: 1 }]);
      const outcome = {
        threadNo: thread.thread_no,
        op: 0,
        epoch: 1,
        kind: 'done' as const,
        payload: '1',
        delayMs: 0,
        details: null,
      };
      expect(await finish(session(), worker, [outcome])).toBe(`w${worker.no}`);
    });

    it('is due later when an attempt failed', async () => {
      const worker = await register(session());
      const thread = await running(session(), worker, 'a');
      await step(session(), thread, { opens: 1 });
      const item = taskItem(thread, 0, { attempt: 2, delayMs: 60_000, lastFailure: '"boom"' });
      expect(await queue(session(), worker, [item])).toEqual([]);
      expect(await takeTasks(session(), worker)).toEqual([]);
      await setClock(session(), '61 seconds');
      expect(await takeTasks(session(), worker)).toMatchObject([{ attempt: 2, last_failure: '"boom"', name: 'act' }]);
    });

    it('is refused alone when the thread is not the worker’s any more', async () => {
      const worker = await register(session());
      const stale = await running(session(), worker, 'a');
      await step(session(), stale, { opens: 1 });
      const other = await running(session(), worker, 'b');
      await step(session(), other, { opens: 1 });
      await release(session(), stale);
      const refused = { threadNo: stale.thread_no, op: 0 };
      const items = [taskItem(stale, 0), taskItem(other, 0)];
      expect(await queue(session(), worker, items)).toEqual([refused]);
      await claimOnly(session(), worker, 'a');
      expect(await queue(session(), worker, [taskItem(stale, 0)])).toEqual([refused]);
      expect(await tasks()).toMatchObject([{ thread: 'b/0' }]);
    });

    it('is made once when the call is repeated', async () => {
      const worker = await register(session());
      const thread = await running(session(), worker, 'a');
      await step(session(), thread, { opens: 1 });
      const query = await queryOf((recorder) => queue(recorder, worker, [taskItem(thread, 0, { attempt: 2 })]));
      const answer = await session().query(query);
      await takeTasks(session(), worker);
      const before = await stateOf(session());
      expect(await session().query(query)).toEqual(answer);
      expect(await stateOf(session())).toEqual(before);
    });

    // A completed activity never runs again: the repetition may arrive after another worker has done all of it.
    it('is not made again when the call is repeated after the task was finished', async () => {
      const [worker, other] = [await register(session()), await register(session(), 'other')];
      const thread = await running(session(), worker, 'a');
      await step(session(), thread, { opens: 1 });
      const query = await queryOf((recorder) => queue(recorder, worker, [taskItem(thread, 0, { attempt: 2 })]));
      await session().query(query);
      const [taken] = await takeTasks(session(), other);
      await finish(session(), other, [outcomeOf(taken!, 'done', '1')]);
      await session().query(query);
      expect(await takeTasks(session(), other)).toEqual([]);
      expect(await stateOf(session())).toMatchObject({ inbox: [{ kind: 'done', op: 0 }], tasks: [] });
    });

    it('is not made again when the call is repeated after the workflow has seen its outcome', async () => {
      const [worker, other] = [await register(session()), await register(session(), 'other')];
      const thread = await running(session(), worker, 'a');
      await step(session(), thread, { opens: 1 });
      const query = await queryOf((recorder) => queue(recorder, worker, [taskItem(thread, 0, { attempt: 2 })]));
      await session().query(query);
      const [taken] = await takeTasks(session(), other);
      await finish(session(), other, [outcomeOf(taken!, 'done', '1')]);
      const [mail] = await mailOf(session(), worker);
      await step(session(), thread, { resolves: [0], consumes: [mail!.inbox_no] });
      await session().query(query);
      expect(await tasks()).toEqual([]);
    });

    it('may be withdrawn like any other', async () => {
      const worker = await register(session());
      const thread = await running(session(), worker, 'a');
      await step(session(), thread, { opens: 1 });
      await queue(session(), worker, [taskItem(thread, 0)]);
      const item = entry(thread, { resolves: [0], effects: [untask(0)] });
      expect((await commitOne(session(), thread, item)).status).toBe('done');
      expect(await tasks()).toEqual([]);
    });
  });
});
