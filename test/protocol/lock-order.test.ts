/**
 * Everybody takes locks in one order, whatever order the call names things in. Where two calls name the same rows the
 * other way round, a third session first holds one row in the middle of each: so a call that locked in the order of its
 * arguments would hold its first row for certain when the other comes for it, and Postgres would report a deadlock.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parkThreads, releaseThreads } from '../../src/postgres/protocol/threads.js';
import { type Outcome, outcomeOf, PausableDatabase, untilAnswered } from '../support/pause.js';
import {
  cancel,
  child,
  claim,
  claimOnly,
  commitAll,
  commitOne,
  entry,
  finish,
  hookOf,
  keepHouse,
  outcomeOf as outcomeOfTask,
  park,
  queue,
  register,
  running,
  search,
  send,
  signal,
  signalAll,
  signalItem,
  start,
  startAll,
  startItem,
  step,
  type Thread,
  takeTasks,
  task,
  taskItem,
  terminate,
  terms,
  untask,
  violations,
  wait,
  waiting,
} from '../support/protocol.js';
import { SCHEMA, type Session } from '../support/protocol-session.js';

describe('calls that name the same things in opposite order', () => {
  let database: PausableDatabase;
  let control: Session;
  let one: Session;
  let other: Session;
  let holder: Session;

  beforeAll(async () => {
    database = await PausableDatabase.open();
    control = database.control;
    [one, other, holder] = [await database.session(), await database.session(), await database.session()];
  });
  afterAll(() => database.close());
  beforeEach(() => database.reset());

  /** Both calls are under way, each behind what is held, when that is released. */
  async function crossed(hold: () => Promise<unknown>, first: () => Promise<unknown>, second: () => Promise<unknown>) {
    const held = await database.park(holder, 'end', hold);
    expect(held.reached).toBe(true);
    const outcomes: Promise<Outcome>[] = [];
    for (const [session, call] of [
      [one, first],
      [other, second],
    ] as const) {
      const outcome = outcomeOf(untilAnswered(call));
      outcomes.push(outcome);
      expect(await database.untilStopped(session, outcome), 'it waits for what is held').toBe(true);
    }
    await held.release();
    await expectAnswers(outcomes);
  }

  /** No SQLSTATE: both were answered. */
  async function expectAnswers(outcomes: readonly Promise<Outcome>[]): Promise<void> {
    const errors = (await Promise.all(outcomes)).map((outcome) => ('error' in outcome ? outcome.error : null));
    expect(errors).toEqual([null, null]);
    expect(await violations(control)).toEqual([]);
  }

  /** What the two calls and the holder name: a and b by both, x and y held for one each. */
  const ORDERS = [
    ['a', 'x', 'b'],
    ['b', 'y', 'a'],
  ] as const;
  const HELD = ['x', 'y'] as const;

  const worker = (key = 'worker') => register(control, key);

  /** Threads of these ids, each owned by the worker. */
  async function owned(key: string, ...ids: string[]): Promise<Map<string, Thread>> {
    const owner = await worker(key);
    for (const id of ids) await start(control, id);
    const threads = await claim(control, owner);
    return new Map(threads.map((thread) => [thread.workflow_id, thread]));
  }

  const inOrder = <T>(things: ReadonlyMap<string, T>, order: readonly string[]) =>
    order.map((id) => things.get(id) as T);

  it('start', async () => {
    await worker(); // else the service is new, and they wait for that
    await crossed(
      () =>
        startAll(
          holder,
          HELD.map((id) => startItem(id)),
        ),
      () =>
        startAll(
          one,
          ORDERS[0].map((id) => startItem(id)),
        ),
      () =>
        startAll(
          other,
          ORDERS[1].map((id) => startItem(id)),
        ),
    );
  });

  it('start, filling reservations', async () => {
    await startAll(
      control,
      ['a', 'b', 'x', 'y'].map((id) => startItem(id, { terms: terms({ pendingMs: 60_000 }) })),
    );
    await crossed(
      () =>
        startAll(
          holder,
          HELD.map((id) => startItem(id)),
        ),
      () =>
        startAll(
          one,
          ORDERS[0].map((id) => startItem(id)),
        ),
      () =>
        startAll(
          other,
          ORDERS[1].map((id) => startItem(id)),
        ),
    );
  });

  it('start and the start of children', async () => {
    const parent = await running(control, await worker(), 'parent');
    const item = entry(parent, { opens: 3, effects: ORDERS[1].map((id, op) => child(op, id)) });
    await crossed(
      () =>
        startAll(
          holder,
          HELD.map((id) => startItem(id)),
        ),
      () =>
        startAll(
          one,
          ORDERS[0].map((id) => startItem(id)),
        ),
      () => commitOne(other, parent, item),
    );
  });

  it('signals to anybody', async () => {
    for (const id of ['a', 'b', 'x', 'y']) await waiting(control, await worker(), `waits-${id}`, id);
    await crossed(
      () =>
        signalAll(
          holder,
          HELD.map((id) => signalItem(id)),
        ),
      () =>
        signalAll(
          one,
          ORDERS[0].map((id) => signalItem(id)),
        ),
      () =>
        signalAll(
          other,
          ORDERS[1].map((id) => signalItem(id)),
        ),
    );
  });

  it('signals to anybody, when nobody waits', async () => {
    await crossed(
      () =>
        signalAll(
          holder,
          HELD.map((id) => signalItem(id)),
        ),
      () =>
        signalAll(
          one,
          ORDERS[0].map((id) => signalItem(id)),
        ),
      () =>
        signalAll(
          other,
          ORDERS[1].map((id) => signalItem(id)),
        ),
    );
  });

  it('signals to workflows', async () => {
    for (const id of ['a', 'b', 'x', 'y']) await waiting(control, await worker(), id, 'go');
    const sent = (ids: readonly string[]) => ids.map((workflowId) => signalItem('go', { workflowId }));
    await crossed(
      () => signalAll(holder, sent(HELD)),
      () => signalAll(one, sent(ORDERS[0])),
      () => signalAll(other, sent(ORDERS[1])),
    );
  });

  it('repeated signals', async () => {
    const items = new Map(['a', 'b', 'x', 'y'].map((id) => [id, signalItem(id)]));
    await crossed(
      () => signalAll(holder, inOrder(items, HELD)),
      () => signalAll(one, inOrder(items, ORDERS[0])),
      () => signalAll(other, inOrder(items, ORDERS[1])),
    );
  });

  it('signals to anybody and signals from workflows', async () => {
    const sender = await running(control, await worker(), 'sender');
    for (const id of ['a', 'b', 'x', 'y']) await waiting(control, sender.worker, `waits-${id}`, id);
    const item = entry(sender, { opens: 3, effects: ORDERS[1].map((id, op) => send(op, id)) });
    await crossed(
      () =>
        signalAll(
          holder,
          HELD.map((id) => signalItem(id)),
        ),
      () =>
        signalAll(
          one,
          ORDERS[0].map((id) => signalItem(id)),
        ),
      () => commitOne(other, sender, item),
    );
  });

  it('waits for signals that are kept', async () => {
    const threads = await owned('worker', 'one', 'other', 'holder');
    for (const id of ['a', 'b', 'x', 'y', 'a', 'b']) await signal(control, id);
    const waits = (name: string, ids: readonly string[]) => {
      const thread = threads.get(name)!;
      return { thread, item: entry(thread, { opens: ids.length, effects: ids.map((id, op) => wait(op, id)) }) };
    };
    const [held, first, second] = [waits('holder', HELD), waits('one', ORDERS[0]), waits('other', ORDERS[1])];
    await crossed(
      () => commitOne(holder, held.thread, held.item),
      () => commitOne(one, first.thread, first.item),
      () => commitOne(other, second.thread, second.item),
    );
  });

  it('commits of one worker’s threads', async () => {
    const threads = await owned('worker', 'a', 'b', 'x', 'y');
    const items = (ids: readonly string[]) =>
      inOrder(threads, ids).map((thread) => entry(thread, { opens: 1, effects: [wait(0, 'go')] }));
    const by = [...threads.values()][0]!.worker;
    await crossed(
      async () => {
        for (const id of HELD) await cancel(holder, id);
      },
      () => commitAll(one, by, items(ORDERS[0])),
      () => commitAll(other, by, items(ORDERS[1])),
    );
  });

  it('commits without a lock of their own', async () => {
    const threads = await owned('worker', 'a', 'b', 'x', 'y');
    const items = (ids: readonly string[]) => inOrder(threads, ids).map((thread) => entry(thread));
    const by = [...threads.values()][0]!.worker;
    await crossed(
      () => commitAll(holder, by, items(HELD)),
      () => commitAll(one, by, items(ORDERS[0])),
      () => commitAll(other, by, items(ORDERS[1])),
    );
  });

  it('ends of children, whose parents are the same', async () => {
    const parents = await owned('parents', 'pa', 'pb');
    for (const parent of parents.values()) {
      const effects = ['one', 'other'].map((name, op) => child(op, `${parent.workflow_id}-${name}`));
      await step(control, parent, { opens: 2, effects });
    }
    const kids = new Map((await claim(control, await worker('kids'))).map((kid) => [kid.workflow_id, kid]));
    const ends = (...ids: string[]) =>
      inOrder(kids, ids).map((kid) => entry(kid, { closing: 'completed', result: '1' }));
    const by = [...kids.values()][0]!.worker;
    const [first, second] = [ends('pa-one', 'pb-one'), ends('pb-other', 'pa-other')];
    const held = await database.park(one, 'commit.locked', () => commitAll(one, by, first));
    const late = outcomeOf(commitAll(other, by, second));
    await database.untilStopped(other, late);
    await expectAnswers([held.release(), late]);
  });

  it('parking and releasing', async () => {
    const threads = await owned('worker', 'a', 'b', 'x', 'y');
    for (const thread of threads.values()) await step(control, thread, { opens: 1, effects: [wait(0, 'go')] });
    const items = (ids: readonly string[]) =>
      inOrder(threads, ids).map(({ thread_no, epoch }) => ({ threadNo: thread_no, epoch, blockedOn: [0] }));
    const { no } = [...threads.values()][0]!.worker;
    await crossed(
      async () => {
        for (const id of HELD) await cancel(holder, id);
      },
      () => parkThreads(one, SCHEMA, no, items(ORDERS[0])),
      () => releaseThreads(other, SCHEMA, no, items(ORDERS[1])),
    );
  });

  it('ends of tasks', async () => {
    const threads = await owned('worker', 'a', 'b', 'x', 'y');
    for (const thread of threads.values()) await step(control, thread, { opens: 2, effects: [task(0), task(1)] });
    const by = [...threads.values()][0]!.worker;
    const taken = await takeTasks(control, by);
    const outcomes = (ids: readonly string[], op: number) =>
      ids.map((id) => outcomeOfTask(taken.find((each) => each.workflow_id === id && each.op === op)!, 'done'));
    await crossed(
      async () => {
        for (const id of HELD) await cancel(holder, id);
      },
      () => finish(one, by, outcomes(ORDERS[0], 0)),
      () => finish(other, by, outcomes(ORDERS[1], 1)),
    );
  });

  it('ends of tasks and the workflow that gives them up', async () => {
    const thread = await running(control, await worker(), 'a');
    await step(control, thread, { opens: 4, effects: [0, 1, 2, 3].map((op) => task(op)) });
    const tasks = await worker('tasks');
    const taken = await takeTasks(control, tasks);
    const [a, x, y, b] = [0, 1, 2, 3].map((op) => taken.find((each) => each.op === op)!);
    const item = entry(thread, { resolves: [0, 1, 3], effects: [untask(0), untask(1), untask(3)] });
    await crossed(
      () => holder.sql(`select from ${SCHEMA}.activity_task where op in ($1::int, $2::int) for update`, x!.op, y!.op),
      () => commitOne(one, thread, item),
      () =>
        finish(
          other,
          tasks,
          [b!, y!, a!].map((each) => outcomeOfTask(each, 'done')),
        ),
    );
  });

  it('queueing the first task of a queue and a commit that schedules another', async () => {
    const worker_ = await worker();
    const parent = await running(control, worker_, 'parent');
    await step(control, parent, { opens: 2, effects: [child(0, 'child')] });
    const kid = await claimOnly(control, await worker('kids'), 'child');
    const rival = await running(control, kid.worker, 'rival');
    const items = [
      entry(kid, { closing: 'completed', result: '1' }),
      entry(rival, { opens: 1, effects: [task(0, 'act', 'new')] }),
    ];
    const held = await database.park(one, 'commit.locked', () => commitAll(one, kid.worker, items));
    const late = outcomeOf(queue(other, worker_, [taskItem(parent, 1, { taskQueue: 'new' })]));
    await database.untilStopped(other, late);
    await expectAnswers([held.release(), late]);
  });

  // A commit for a hook locks the hook's thread: else the end of its run, which writes the hook's last entry behind its own,
  // would meet the one written here only then.
  it('ends of two runs, each with a hook that the other’s worker is committing', async () => {
    const [w1, w2] = [await worker('w1'), await worker('w2')];
    const main1 = await running(control, w1, 'run-1');
    const main2 = await running(control, w2, 'run-2');
    const hook1 = await hookOf(control, main1, 'owned', w2);
    const hook2 = await hookOf(control, main2, 'owned', w1);
    const ofOne = [entry(main1, { closing: 'completed', result: '1' }), entry(hook2)];
    const ofOther = [entry(main2, { closing: 'completed', result: '1' }), entry(hook1)];
    const first = await database.park(one, 'commit.inserted', () => commitAll(one, w1, ofOne));
    const second = await database.park(other, 'commit.inserted', () => commitAll(other, w2, ofOther));
    const released = first.release();
    await database.untilStopped(one, released);
    await expectAnswers([released, second.release()]);
  });

  it.each([true, false])(
    'calls of sessions of two threads of the same runs (documents are there: %s)',
    async (stored) => {
      const ids = ['a', 'b', 'x', 'y'];
      const [mains, hooks] = [new Map<string, Thread>(), new Map<string, Thread>()];
      const [w1, w2] = [await worker('w1'), await worker('w2')];
      for (const id of ids) {
        mains.set(id, await running(control, w1, id, stored ? { search: '{"n":"1"}' } : {}));
        hooks.set(id, await hookOf(control, mains.get(id) as Thread, 'owned', w2));
      }
      const items = (threads: ReadonlyMap<string, Thread>, order: readonly string[]) =>
        inOrder(threads, order).map((thread) => entry(thread, { opens: 1, effects: [search(0, 'incr', ['n', 1])] }));
      const [ofMains, ofHooks] = [items(mains, ORDERS[0]), items(hooks, ORDERS[1])];
      const runs = inOrder(mains, HELD).map(({ run_no }) => run_no);
      await crossed(
        () =>
          holder.sql(`do $$ begin perform ${SCHEMA}.lock_documents(array[${runs.join(', ')}]::bigint[], '{}'); end $$`),
        () => commitAll(one, w1, ofMains),
        () => commitAll(other, w2, ofHooks),
      );
    },
  );

  it('housekeeping, signals and waits', async () => {
    const ended = await running(control, await worker(), 'ended');
    await step(control, ended, { opens: 4, effects: ['a', 'b', 'x', 'y'].map((id, op) => wait(op, id)) });
    for (const id of ['a', 'b', 'x', 'y']) await signal(control, id);
    await step(control, ended, { closing: 'completed', result: '1' });
    const thread = await running(control, ended.worker, 'waits');
    const item = entry(thread, { opens: 3, effects: ORDERS[1].map((id, op) => wait(op, id)) });
    await crossed(
      () =>
        signalAll(
          holder,
          HELD.map((id) => signalItem(id)),
        ),
      () => keepHouse(one),
      () => commitOne(other, thread, item),
    );
  });

  it('terminate of parent and child', async () => {
    const parent = await running(control, await worker(), 'parent');
    await step(control, parent, { opens: 1, effects: [child(0, 'child')] });
    await claimOnly(control, parent.worker, 'child');
    await park(control, parent, [0]);
    const held = await database.park(one, 'terminate.locked', () => terminate(one, 'child'));
    const late = outcomeOf(terminate(other, 'parent'));
    await database.untilStopped(other, late);
    await expectAnswers([held.release(), late]);
  });
});
