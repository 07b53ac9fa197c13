import { expect, it } from 'vitest';
import { claimThreads, fetchOwned } from '../../src/postgres/protocol/threads.js';
import {
  block,
  cancel,
  claim,
  claimOnly,
  expireLease,
  nextNumber,
  onEveryDatabase,
  park,
  register,
  release,
  retire,
  running,
  setClock,
  signal,
  start,
  step,
  type Thread,
  task,
  timer,
  type Worker,
  wait,
  waiting,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

onEveryDatabase('claim', (session) => {
  const ids = (threads: readonly Thread[]) => threads.map((thread) => thread.workflow_id);

  const dueInMs = async (worker: Worker) =>
    (
      await claimThreads(session(), SCHEMA, {
        workerNo: worker.no,
        claimNo: nextNumber(),
        services: worker.services,
        limit: 10,
      })
    ).dueInMs;

  it('takes what has been ready longest, up to the limit, once', async () => {
    const worker = await register(session());
    for (const id of ['c', 'a', 'b']) await start(session(), id);
    expect(ids(await claim(session(), worker, { limit: 2 }))).toEqual(['a', 'c']);
    expect(ids(await claim(session(), worker, { limit: 2 }))).toEqual(['b']);
    expect(ids(await claim(session(), worker))).toEqual([]);
    expect(await stateOf(session())).toMatchObject({
      threads: ['a/0', 'b/0', 'c/0'].map((thread) => ({ thread, state: 'owned', owner: 'worker', epoch: 1 })),
    });
  });

  it('repeated by the same number answers the same threads, and takes no others', async () => {
    const worker = await register(session());
    for (const id of ['a', 'b', 'c']) await start(session(), id);
    const first = await claim(session(), worker, { claimNo: 7, limit: 2 });
    const again = await claim(session(), worker, { claimNo: 7, limit: 2 });
    expect(ids(again)).toEqual(['a', 'b']);
    expect(again.map(({ epoch }) => epoch)).toEqual(first.map(({ epoch }) => epoch));
    expect(ids(await claim(session(), worker, { claimNo: 8 }))).toEqual(['c']);
  });

  it('of two workers gives each thread to one', async () => {
    const [one, other] = [await register(session(), 'one'), await register(session(), 'other')];
    for (const id of ['a', 'b', 'c']) await start(session(), id);
    expect(ids(await claim(session(), one, { limit: 2 }))).toEqual(['a', 'b']);
    expect(ids(await claim(session(), other))).toEqual(['c']);
  });

  it('takes only what the worker serves', async () => {
    const worker = await register(session());
    const elsewhere = await register(session(), 'elsewhere', {
      services: [
        { kind: 'workflow', taskQueue: 'other', name: 'flow' },
        { kind: 'workflow', taskQueue: 'queue', name: 'other' },
        { kind: 'activity', taskQueue: 'queue', name: '' },
      ],
    });
    await start(session(), 'a');
    await start(session(), 'b', { taskQueue: 'other' });
    await start(session(), 'c', { workflowName: 'other' });
    expect(ids(await claim(session(), elsewhere))).toEqual(['b', 'c']);
    expect(ids(await claim(session(), worker))).toEqual(['a']);
  });

  it('takes a parked thread when its timer is due, not earlier, and says when that will be', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 2, effects: [timer(0, 60_000), timer(1, 90_000)] });
    expect(await park(session(), thread, [0, 1])).toBe('parked');
    const due = await dueInMs(worker);
    expect(due).toBeGreaterThan(50_000);
    expect(due).toBeLessThanOrEqual(60_000);
    await setClock(session(), '61 seconds');
    const woken = await claimOnly(session(), worker, 'a');
    const timers = JSON.parse(woken.timers ?? '') as [number, number][];
    expect(timers.map(([op, ms]) => [op, ms <= 0])).toEqual([
      [0, true],
      [1, false],
    ]);
  });

  it('has no time to name when nothing is to come', async () => {
    const worker = await register(session());
    await waiting(session(), worker, 'a', 'go');
    expect(await dueInMs(worker)).toBeNull();
  });

  it('brings along what the worker needs to go on', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 4, effects: [timer(0, 60_000), wait(1, 'go'), task(2), task(3)] });
    await cancel(session(), 'a');
    await signal(session(), 'go', { payload: '"x"' });
    await release(session(), thread);
    const again = await claimOnly(session(), worker, 'a');
    expect(again).toMatchObject({ epoch: 2, last_seq: 0, last_commit_no: thread.lastCommitNo, cancel_requested: true });
    expect(JSON.parse(again.tasks ?? '').sort()).toEqual([2, 3]);
    expect(JSON.parse(again.timers ?? '')).toMatchObject([[0, expect.any(Number)]]);
    expect(JSON.parse(again.mail ?? '')).toEqual([
      [expect.any(Number), 'cancel', null, null],
      [expect.any(Number), 'signal', 1, '"x"'],
    ]);
  });

  it('hears of a cancel that came before anybody ran the workflow', async () => {
    const worker = await register(session());
    await start(session(), 'a');
    await cancel(session(), 'a');
    const thread = await claimOnly(session(), worker, 'a');
    expect(JSON.parse(thread.mail ?? '')).toMatchObject([[expect.any(Number), 'cancel', null, null]]);
  });

  it('leaves nothing to a worker that is gone, whatever it had cached', async () => {
    for (const go of [retire, expireLease]) {
      const [gone, other] = [await register(session(), `gone-${go.name}`), await register(session(), `by-${go.name}`)];
      await waiting(session(), gone, go.name, go.name);
      await go(session(), gone);
      await signal(session(), go.name);
      expect(ids(await claim(session(), other)), go.name).toEqual([go.name]);
    }
  });

  it('leaves a thread for half a second to the worker that has it cached', async () => {
    const [cached, other] = [await register(session(), 'cached'), await register(session(), 'other')];
    await waiting(session(), cached, 'a', 'go');
    await signal(session(), 'go');
    await setClock(session(), '400 milliseconds');
    expect(ids(await claim(session(), other))).toEqual([]);
    await setClock(session(), '2 seconds');
    expect(ids(await claim(session(), other))).toEqual(['a']);
  });

  it('gives a thread at once to the worker that has it cached', async () => {
    const cached = await register(session(), 'cached');
    await waiting(session(), cached, 'a', 'go');
    await signal(session(), 'go');
    expect(ids(await claim(session(), cached))).toEqual(['a']);
  });

  it('passes over a worker whose code cannot run the thread', async () => {
    const [bad, good] = [await register(session(), 'bad'), await register(session(), 'good')];
    expect(await block(session(), await running(session(), bad, 'a'))).toBe('ready');
    expect(ids(await claim(session(), bad))).toEqual([]);
    expect(await dueInMs(bad)).toBeNull();
    expect(ids(await claim(session(), good))).toEqual(['a']);
  });

  it('takes a parked thread that nothing woke when it is asked for by number', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    const thread = await waiting(session(), worker, 'a', 'go');
    const wanted = [thread.thread_no];
    const [taken] = await claim(session(), worker, { wanted });
    expect(taken).toMatchObject({ workflow_id: 'a', epoch: 2 });
    expect(ids(await claim(session(), other, { wanted }))).toEqual([]);
    expect(await signal(session(), 'go')).toBe('delivered');
    expect(await park(session(), taken!, [0])).toBe('mail');
  });

  it('can be compared with what a worker holds: what it never heard of is given back', async () => {
    const worker = await register(session());
    for (const id of ['a', 'b']) await start(session(), id);
    const [heard] = await claim(session(), worker, { claimNo: 1, limit: 1 });
    const [lost] = await claim(session(), worker, { claimNo: 2, limit: 1 });
    await start(session(), 'c');
    await claim(session(), worker, { claimNo: 3, limit: 1 });
    const owned = await fetchOwned(session(), SCHEMA, worker.no, 3);
    const numbers = owned.threads.map(({ threadNo }) => threadNo);
    expect(numbers.sort()).toEqual([heard!.thread_no, lost!.thread_no].sort());
    await release(session(), lost!);
    expect(ids(await claim(session(), worker))).toEqual([lost!.workflow_id]);
  });
});
