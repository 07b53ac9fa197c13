/** The pairs of calls that meet in practice. R numbers are those of the reliability plan (docs/testing.md). */

import type { CommitItem, Effect } from '../../src/postgres/protocol/commit.js';
import type { StartItem } from '../../src/postgres/protocol/executions.js';
import { documentRaces } from './document-races.js';
import { hookRaces } from './hook-races.js';
import { idRaces } from './id-races.js';
import { operationRaces } from './operation-races.js';
import type { Race } from './pause-race.js';
import {
  block,
  cancel,
  child,
  claim,
  claimOnly,
  commitAll,
  commitOne,
  complete,
  die,
  entry,
  expireLease,
  finish,
  fire,
  hookOf,
  keepHouse,
  mailOf,
  nextNumber,
  outcomeOf as outcomeOfTask,
  park,
  queue,
  reapDead,
  register,
  release,
  renew,
  retire,
  running,
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
  timer,
  uncall,
  untask,
  unwait,
  type Worker,
  wait,
  waiting,
} from './protocol.js';
import { queryOf, SCHEMA, type Session } from './protocol-session.js';
import { taskRaces } from './protocol-task-races.js';
import { pruneRaces } from './prune-races.js';

const ids = (threads: readonly Thread[]) => threads.map((thread) => thread.workflow_id);

/** Infers the cast, and forgets it. */
function race<Cast>(given: Race<Cast>): Race {
  return given as Race;
}

/** A thread that `worker` owns and that waits for signal `go`, operation 0. */
async function awaiting(session: Session, worker: Worker, workflowId: string): Promise<Thread> {
  const thread = await running(session, worker, workflowId);
  await step(session, thread, { opens: 1, effects: [wait(0, 'go')] });
  return thread;
}

/**
 * Something came to a thread that was being claimed: the claim brought it along, or it comes by mail, or the thread is
 * claimed only now. Which of these is open, that it is one of them is not.
 */
async function heardOnce(control: Session, { w1, heard }: { w1: Worker; heard: Thread[] }): Promise<unknown> {
  const threads = [...heard, ...(await claim(control, w1))];
  const brought = threads.flatMap(({ mail }) => JSON.parse(mail ?? '[]') as [number][]).map(([inboxNo]) => inboxNo);
  const mail = await mailOf(control, w1, brought);
  await control.sql(`update ${SCHEMA}.inbox set worker_no = null`);
  return brought.length + mail.length;
}

/** A parent that `worker` owns and its awaited child, operation 0, owned by `childWorker`. */
async function family(
  session: Session,
  worker: Worker,
  childWorker = worker,
): Promise<{ parent: Thread; kid: Thread }> {
  const parent = await running(session, worker, 'parent');
  await step(session, parent, { opens: 1, effects: [child(0, 'child')] });
  return { parent, kid: await claimOnly(session, childWorker, 'child') };
}

const two = async (session: Session) => ({ w1: await register(session, 'w1'), w2: await register(session, 'w2') });

// ---- R1 park / deliver

const parkOrDeliver = [
  race({
    name: 'R1 park / a signal to anybody',
    arrange: async (control) => {
      const { w1 } = await two(control);
      return { thread: await awaiting(control, w1, 'a'), item: signalItem('go', { payload: '1' }) };
    },
    one: (session, { thread }) => park(session, thread, [0]),
    other: (session, { item }) => signalAll(session, [item]),
  }),
  race({
    name: 'R1 park / a signal to the workflow',
    arrange: async (control) => {
      const { w1 } = await two(control);
      return { thread: await awaiting(control, w1, 'a'), item: signalItem('go', { workflowId: 'a', payload: '1' }) };
    },
    one: (session, { thread }) => park(session, thread, [0]),
    other: (session, { item }) => signalAll(session, [item]),
  }),
  race({
    name: 'R1 park / a signal from another workflow',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const thread = await awaiting(control, w1, 'a');
      const sender = await running(control, w2, 'b');
      return { thread, sender, item: entry(sender, { opens: 1, effects: [send(0, 'go', '1')] }) };
    },
    one: (session, { thread }) => park(session, thread, [0]),
    other: (session, { sender, item }) => commitOne(session, sender, item),
  }),
  race({
    name: 'R1 park / the end of a child',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const { parent, kid } = await family(control, w1, w2);
      return { parent, kid, item: entry(kid, { closing: 'completed', result: '1' }) };
    },
    one: (session, { parent }) => park(session, parent, [0]),
    other: (session, { kid, item }) => commitOne(session, kid, item),
  }),
  race({
    name: 'R1 park / the end of a task',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const thread = await running(control, w1, 'a');
      await step(control, thread, { opens: 1, effects: [task(0)] });
      const [taken] = await takeTasks(control, w2);
      return { w2, thread, outcome: outcomeOfTask(taken!, 'done', '1') };
    },
    one: (session, { thread }) => park(session, thread, [0]),
    other: (session, { w2, outcome }) => finish(session, w2, [outcome]),
  }),
  race({
    name: 'R1 park / cancel',
    arrange: async (control) => ({ thread: await awaiting(control, (await two(control)).w1, 'a') }),
    one: (session, { thread }) => park(session, thread, [0]),
    other: (session) => cancel(session, 'a'),
  }),
  race({
    name: 'R1 park / terminate',
    arrange: async (control) => ({
      thread: await awaiting(control, (await two(control)).w1, 'a'),
      requestNo: nextNumber(),
    }),
    one: (session, { thread }) => park(session, thread, [0]),
    other: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
  }),
  race({
    name: 'R1 park / the reaper',
    arrange: async (control) => ({ thread: await awaiting(control, (await two(control)).w1, 'a') }),
    one: (session, { thread }) => park(session, thread, [0]),
    other: async (session, { thread }, control) => {
      await expireLease(control, thread.worker);
      await reapDead(session);
    },
    settle: async (control) => void (await reapDead(control)),
  }),
];

// ---- R2 to R5: workers and their leases

const everyEffect = (thread: Thread): CommitItem =>
  entry(thread, { opens: 4, effects: [timer(0, 60_000), wait(1, 'go'), task(2), child(3, 'child')] });

const leases = [
  race({
    name: 'R2 commit / the reaper',
    arrange: async (control) => {
      const { w1 } = await two(control);
      const thread = await running(control, w1, 'a');
      return { thread, item: everyEffect(thread) };
    },
    one: (session, { thread, item }) => commitOne(session, thread, item),
    other: async (session, { thread }, control) => {
      await expireLease(control, thread.worker);
      await reapDead(session);
    },
    settle: async (control) => void (await reapDead(control)),
  }),
  race({
    name: 'R2 the commit that ends a run / the reaper',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const { kid } = await family(control, w2, w1);
      return { kid, item: entry(kid, { closing: 'completed', result: '1' }) };
    },
    one: (session, { kid, item }) => commitOne(session, kid, item),
    other: async (session, { kid }, control) => {
      await expireLease(control, kid.worker);
      await reapDead(session);
    },
    settle: async (control) => void (await reapDead(control)),
  }),
  race({
    name: 'R2 finishing a task / the reaper',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const thread = await running(control, w1, 'a');
      await step(control, thread, { opens: 1, effects: [task(0)] });
      const [taken] = await takeTasks(control, w2);
      return { w2, outcome: outcomeOfTask(taken!, 'done', '1') };
    },
    one: (session, { w2, outcome }) => finish(session, w2, [outcome]),
    other: async (session, { w2 }, control) => {
      await expireLease(control, w2);
      await reapDead(session);
    },
    settle: async (control) => void (await reapDead(control)),
  }),
  race({
    name: 'R2 queueing a task / the reaper',
    arrange: async (control) => {
      const { w1 } = await two(control);
      const thread = await running(control, w1, 'a');
      await step(control, thread, { opens: 1 });
      return {
        thread,
        query: await queryOf((session) => queue(session, w1, [taskItem(thread, 0, { claimNo: nextNumber() })])),
      };
    },
    one: (session, { query }) => session.query(query),
    other: async (session, { thread }, control) => {
      await expireLease(control, thread.worker);
      await reapDead(session);
    },
    settle: async (control) => void (await reapDead(control)),
  }),
  race({
    name: 'R2 claim / the reaper',
    arrange: async (control) => {
      const { w1 } = await two(control);
      await start(control, 'a');
      return { w1, claimNo: nextNumber() };
    },
    one: async (session, { w1, claimNo }) => ids(await claim(session, w1, { claimNo })),
    other: async (session, { w1 }, control) => {
      await expireLease(control, w1);
      await reapDead(session);
    },
    settle: async (control) => void (await reapDead(control)),
  }),
  race({
    name: 'R2 the reaper / the reaper',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const thread = await running(control, w2, 'b');
      await step(control, thread, { opens: 1, effects: [task(0)] });
      await takeTasks(control, w1);
      await running(control, w1, 'a');
      await expireLease(control, w1);
    },
    // Who gets to tell the queues does not matter.
    one: async (session) => void (await reapDead(session)),
    other: async (session) => void (await reapDead(session)),
  }),
  race({
    name: 'R3 claim / claim',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      for (const id of ['a', 'b', 'c']) await start(control, id);
      return { w1, w2, numbers: [nextNumber(), nextNumber()] };
    },
    one: async (session, { w1, numbers }) => ids(await claim(session, w1, { claimNo: numbers[0]!, limit: 2 })),
    other: async (session, { w2, numbers }) => ids(await claim(session, w2, { claimNo: numbers[1]!, limit: 2 })),
  }),
  race({
    name: 'R3 claim of tasks / claim of tasks',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const thread = await running(control, w1, 'a');
      for (let op = 0; op < 3; op++) await step(control, thread, { opens: 1, effects: [task(op)] });
      return { w1, w2, numbers: [nextNumber(), nextNumber()] };
    },
    one: async (session, { w1, numbers }) =>
      (await takeTasks(session, w1, { claimNo: numbers[0]!, limit: 2 })).map(({ op }) => op).sort(),
    other: async (session, { w2, numbers }) =>
      (await takeTasks(session, w2, { claimNo: numbers[1]!, limit: 2 })).map(({ op }) => op).sort(),
  }),
  race({
    name: 'R3 claim / a signal to what is claimed',
    arrange: async (control) => {
      const { w1 } = await two(control);
      const thread = await waiting(control, w1, 'a', 'go');
      const item = signalItem('go', { payload: '1' });
      return { w1, wanted: [thread.thread_no], claimNo: nextNumber(), item, heard: [] as Thread[] };
    },
    one: async (session, cast) => void cast.heard.push(...(await claim(session, cast.w1, cast))),
    other: (session, { item }) => signalAll(session, [item]),
    settle: (control, cast) => heardOnce(control, cast),
  }),
  race({
    name: 'R3 claim / release',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const thread = await running(control, w1, 'a');
      return { w2, thread, claimNo: nextNumber() };
    },
    one: async (session, { thread }) => void (await release(session, thread)),
    other: async (session, { w2, claimNo }) => void (await claim(session, w2, { claimNo })),
    settle: async (control, { w2 }) => void (await claim(control, w2)),
  }),
  race({
    name: 'R3 claim / terminate',
    arrange: async (control) => {
      const { w1 } = await two(control);
      await start(control, 'a');
      return { w1, claimNo: nextNumber(), requestNo: nextNumber() };
    },
    one: async (session, { w1, claimNo }) => ids(await claim(session, w1, { claimNo })),
    other: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
  }),
  race({
    name: 'R4 renewal / the reaper',
    arrange: async (control) => {
      const { w1 } = await two(control);
      await running(control, w1, 'a');
      await expireLease(control, w1);
      return { w1 };
    },
    one: (session, { w1 }) => renew(session, w1),
    other: async (session) => void (await reapDead(session)),
  }),
  race({
    name: 'R4 registering again / the reaper',
    arrange: async (control) => {
      const { w1 } = await two(control);
      await running(control, w1, 'a');
      await expireLease(control, w1);
    },
    one: async (session) => (await register(session, 'w1')).key,
    other: async (session) => void (await reapDead(session)),
  }),
  race({
    name: 'R5 renewal / the late commit of a worker that was declared dead',
    arrange: async (control) => {
      const { w1 } = await two(control);
      const thread = await running(control, w1, 'a');
      const item = everyEffect(thread);
      await die(control, w1);
      return { thread, item };
    },
    one: (session, { thread }) => renew(session, thread.worker),
    other: (session, { thread, item }) => commitOne(session, thread, item),
  }),
  race({
    name: 'R5 the commit of the new owner / the late commit of the old one',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const old = await running(control, w1, 'a');
      const late = everyEffect(old);
      await die(control, w1);
      const thread = await claimOnly(control, w2, 'a');
      return { old, late, thread, item: entry(thread, { opens: 1, effects: [timer(0, 1)] }) };
    },
    one: (session, { thread, item }) => commitOne(session, thread, item),
    other: (session, { old, late }) => commitOne(session, old, late),
  }),
  race({
    name: 'R5 stopping in order / its own late commit',
    arrange: async (control) => {
      const { w1 } = await two(control);
      const thread = await running(control, w1, 'a');
      return { thread, item: everyEffect(thread) };
    },
    one: (session, { thread }) => retire(session, thread.worker),
    other: (session, { thread, item }) => commitOne(session, thread, item),
    settle: async (control) => void (await reapDead(control)),
  }),
  race({
    name: 'giving a thread up as blocked / a new worker that could run it',
    arrange: async (control) => {
      const w1 = await register(control, 'w1');
      return { thread: await running(control, w1, 'a') };
    },
    one: async (session, { thread }) => void (await block(session, thread)),
    other: async (session) => void (await register(session, 'new')),
    settle: async (control) => void (await reapDead(control, await register(control, 'new'))),
  }),
  race({
    name: 'giving a thread up as blocked / the last other worker dies',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      return { w2, thread: await running(control, w1, 'a') };
    },
    one: async (session, { thread }) => void (await block(session, thread)),
    other: async (session, { w2 }, control) => {
      await expireLease(control, w2);
      await reapDead(session);
    },
    settle: async (control) => {
      await reapDead(control);
      const fixed = await register(control, 'fixed');
      return ids(await claim(control, fixed));
    },
  }),
];

// ---- R6 to R8: signals

const signals = [
  ...(['anybody', 'the workflow'] as const).map((to) =>
    race({
      name: `R6 a signal to ${to} / the wait for it`,
      arrange: async (control) => {
        const { w1 } = await two(control);
        const thread = await running(control, w1, 'a');
        const item = entry(thread, { opens: 1, effects: [wait(0, 'go')] });
        const sent = signalItem('go', { payload: '1', workflowId: to === 'anybody' ? null : 'a' });
        return { thread, item, sent };
      },
      one: (session, { thread, item }) => commitOne(session, thread, item),
      other: (session, { sent }) => signalAll(session, [sent]),
    }),
  ),
  race({
    name: 'R6 a signal from another workflow / the wait for it',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const [thread, sender] = [await running(control, w1, 'a'), await running(control, w2, 'b')];
      const item = entry(thread, { opens: 1, effects: [wait(0, 'go')] });
      return { thread, item, sender, sent: entry(sender, { opens: 1, effects: [send(0, 'go', '1')] }) };
    },
    one: (session, { thread, item }) => commitOne(session, thread, item),
    other: (session, { sender, sent }) => commitOne(session, sender, sent),
  }),
  race({
    name: 'R6 two signals / a second wait for them',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      await waiting(control, w1, 'a', 'go');
      const thread = await running(control, w2, 'b');
      const items = ['1', '2'].map((payload) => signalItem('go', { payload }));
      return { items, thread, item: entry(thread, { opens: 1, effects: [wait(0, 'go')] }) };
    },
    one: (session, { items }) => signalAll(session, items),
    other: (session, { thread, item }) => commitOne(session, thread, item),
  }),
  race({
    name: 'R6 two waits / one kept signal',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      await signal(control, 'go', { payload: '1' });
      const threads = [await running(control, w1, 'a'), await running(control, w2, 'b')] as const;
      return { threads, items: threads.map((thread) => entry(thread, { opens: 1, effects: [wait(0, 'go')] })) };
    },
    one: (session, { threads, items }) => commitOne(session, threads[0], items[0]!),
    other: (session, { threads, items }) => commitOne(session, threads[1], items[1]!),
  }),
  race({
    name: 'R6 two waits / two kept signals',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      for (const payload of ['1', '2']) await signal(control, 'go', { payload });
      const threads = [await running(control, w1, 'a'), await running(control, w2, 'b')] as const;
      return { threads, items: threads.map((thread) => entry(thread, { opens: 1, effects: [wait(0, 'go')] })) };
    },
    one: (session, { threads, items }) => commitOne(session, threads[0], items[0]!),
    other: (session, { threads, items }) => commitOne(session, threads[1], items[1]!),
  }),
  race({
    name: 'R7 a signal / a signal, one waits',
    arrange: async (control) => {
      await waiting(control, (await two(control)).w1, 'a', 'go');
      return [signalItem('go', { payload: '1' }), signalItem('go', { payload: '2' })] as const;
    },
    one: (session, [item]) => signalAll(session, [item]),
    other: (session, [, item]) => signalAll(session, [item]),
  }),
  race({
    name: 'R7 a signal / a signal, two wait',
    arrange: async (control) => {
      const { w1 } = await two(control);
      for (const id of ['a', 'b']) await waiting(control, w1, id, 'go');
      return [signalItem('go', { payload: '1' }), signalItem('go', { payload: '2' })] as const;
    },
    one: (session, [item]) => signalAll(session, [item]),
    other: (session, [, item]) => signalAll(session, [item]),
  }),
  race({
    name: 'R7 a signal to anybody / a signal to the workflow',
    arrange: async (control) => {
      const { w1 } = await two(control);
      for (const id of ['a', 'b']) await waiting(control, w1, id, 'go');
      return [signalItem('go', { payload: '1' }), signalItem('go', { payload: '2', workflowId: 'a' })] as const;
    },
    one: (session, [item]) => signalAll(session, [item]),
    other: (session, [, item]) => signalAll(session, [item]),
  }),
  race({
    name: 'R7 a signal to the workflow / a signal to the workflow',
    arrange: async (control) => {
      await waiting(control, (await two(control)).w1, 'a', 'go');
      return [1, 2].map((n) => signalItem('go', { payload: `${n}`, workflowId: 'a' }));
    },
    one: (session, [item]) => signalAll(session, [item!]),
    other: (session, [, item]) => signalAll(session, [item!]),
  }),
  ...(['anybody', 'the workflow'] as const).map((to) =>
    race({
      name: `R8 a signal to ${to} / the timeout of the wait`,
      arrange: async (control) => {
        const { w1 } = await two(control);
        const thread = await running(control, w1, 'a');
        await step(control, thread, { opens: 2, effects: [timer(0, 0), wait(1, 'go')] });
        const item = entry(thread, { resolves: [0, 1], effects: [fire(0), unwait(1)] });
        return { thread, item, sent: signalItem('go', { payload: '1', workflowId: to === 'anybody' ? null : 'a' }) };
      },
      one: (session, { thread, item }) => commitOne(session, thread, item),
      other: (session, { sent }) => signalAll(session, [sent]),
    }),
  ),
  race({
    name: 'R8 a signal / the timeout of the first of two waits',
    arrange: async (control) => {
      const { w1 } = await two(control);
      const thread = await running(control, w1, 'a');
      await step(control, thread, { opens: 2, effects: [timer(0, 0), wait(1, 'go')] });
      await waiting(control, w1, 'b', 'go');
      const item = entry(thread, { resolves: [0, 1], effects: [fire(0), unwait(1)] });
      return { thread, item, sent: signalItem('go', { payload: '1' }) };
    },
    one: (session, { thread, item }) => commitOne(session, thread, item),
    other: (session, { sent }) => signalAll(session, [sent]),
  }),
  race({
    name: 'R8 a signal / the end of the first of two who wait',
    arrange: async (control) => {
      const { w1 } = await two(control);
      const thread = await awaiting(control, w1, 'a');
      await waiting(control, w1, 'b', 'go');
      const item = entry(thread, { closing: 'completed', result: '1' });
      return { thread, item, sent: signalItem('go', { payload: '1' }) };
    },
    one: (session, { thread, item }) => commitOne(session, thread, item),
    other: (session, { sent }) => signalAll(session, [sent]),
    settle: async (control) => void (await keepHouse(control)),
  }),
  race({
    name: 'a signal that was put back / a wait for it',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const ended = await awaiting(control, w1, 'ended');
      await signal(control, 'go', { payload: '1' });
      await complete(control, ended);
      const thread = await running(control, w2, 'a');
      return { thread, item: entry(thread, { opens: 1, effects: [wait(0, 'go')] }) };
    },
    one: (session, { thread, item }) => commitOne(session, thread, item),
    other: async (session) => void (await keepHouse(session)),
    settle: async (control) => void (await keepHouse(control)),
  }),
  race({
    name: 'a signal that was put back / its waiter parks',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const ended = await awaiting(control, w1, 'ended');
      await signal(control, 'go', { payload: '1' });
      const thread = await awaiting(control, w2, 'a');
      await complete(control, ended);
      return { thread };
    },
    // Skipped by the sweeper, it is parked, and woken at the next look.
    one: async (session, { thread }) => void (await park(session, thread, [0])),
    other: async (session) => void (await keepHouse(session)),
    settle: async (control, { thread }) => {
      await keepHouse(control);
      const woken = await claim(control, thread.worker);
      return [ids(woken), (await mailOf(control, thread.worker)).length];
    },
  }),
  race({
    name: 'the change of request tables / a repeated signal',
    arrange: async (control) => {
      await waiting(control, (await two(control)).w1, 'a', 'go');
      await control.sql(`update ${SCHEMA}.request_slot set since = clock_timestamp() - interval '11 minutes'`);
      return signalItem('go', { payload: '1' });
    },
    one: (session, item) => signalAll(session, [item]),
    other: async (session) => void (await keepHouse(session)),
    settle: (control, item) => signalAll(control, [item]),
  }),
];

// ---- R10 to R14: ends

const ends = [
  race({
    name: 'R10 cancel / the commit that ends the run',
    arrange: async (control) => {
      const thread = await awaiting(control, (await two(control)).w1, 'a');
      return { thread, item: entry(thread, { closing: 'completed', result: '1' }) };
    },
    one: (session) => cancel(session, 'a'),
    other: (session, { thread, item }) => commitOne(session, thread, item),
  }),
  race({
    name: 'R10 cancel / cancel',
    arrange: async (control) => void (await waiting(control, (await two(control)).w1, 'a', 'go')),
    one: (session) => cancel(session, 'a'),
    other: (session) => cancel(session, 'a'),
  }),
  race({
    name: 'R10 cancel / continueAsNew',
    arrange: async (control) => {
      const thread = await running(control, (await two(control)).w1, 'a');
      return { thread, item: entry(thread, { closing: 'continued', result: '[]' }) };
    },
    one: (session) => cancel(session, 'a'),
    other: (session, { thread, item }) => commitOne(session, thread, item),
  }),
  race({
    name: 'R10 cancel / claim',
    arrange: async (control) => {
      const { w1 } = await two(control);
      await start(control, 'a');
      return { w1, claimNo: nextNumber(), heard: [] as Thread[] };
    },
    one: (session) => cancel(session, 'a'),
    other: async (session, cast) => void cast.heard.push(...(await claim(session, cast.w1, cast))),
    settle: (control, cast) => heardOnce(control, cast),
  }),
  race({
    name: 'R11 terminate / a commit with every effect',
    arrange: async (control) => {
      const thread = await running(control, (await two(control)).w1, 'a');
      return { thread, item: everyEffect(thread), requestNo: nextNumber() };
    },
    one: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
    other: (session, { thread, item }) => commitOne(session, thread, item),
  }),
  race({
    name: 'R11 terminate / a commit that needs no lock',
    arrange: async (control) => {
      const thread = await running(control, (await two(control)).w1, 'a');
      const item = entry(thread, { opens: 3, effects: [timer(0, 0), task(1), child(2, 'child')] });
      return { thread, item, requestNo: nextNumber() };
    },
    one: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
    other: (session, { thread, item }) => commitOne(session, thread, item),
  }),
  race({
    name: 'R11 terminate / the commit that ends the run',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const { kid } = await family(control, w2, w1);
      return { kid, item: entry(kid, { closing: 'completed', result: '1' }), requestNo: nextNumber() };
    },
    one: (session, { requestNo }) => terminate(session, 'child', { requestNo }),
    other: (session, { kid, item }) => commitOne(session, kid, item),
  }),
  race({
    name: 'R11 terminate / continueAsNew',
    arrange: async (control) => {
      const thread = await running(control, (await two(control)).w1, 'a');
      return { thread, item: entry(thread, { closing: 'continued', result: '[]' }), requestNo: nextNumber() };
    },
    one: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
    other: (session, { thread, item }) => commitOne(session, thread, item),
  }),
  race({
    name: 'R11 terminate / a signal to the workflow',
    arrange: async (control) => {
      await waiting(control, (await two(control)).w1, 'a', 'go');
      return { requestNo: nextNumber(), sent: signalItem('go', { workflowId: 'a' }) };
    },
    one: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
    other: (session, { sent }) => signalAll(session, [sent]),
  }),
  race({
    name: 'R11 terminate / the end of a task',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const thread = await running(control, w1, 'a');
      await step(control, thread, { opens: 1, effects: [task(0)] });
      const [taken] = await takeTasks(control, w2);
      return { w2, outcome: outcomeOfTask(taken!, 'done', '1'), requestNo: nextNumber() };
    },
    one: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
    // Whether anybody is to be told depends on who was first; the rows tell.
    other: async (session, { w2, outcome }) => void (await finish(session, w2, [outcome])),
  }),
  race({
    name: 'R11 terminate / queueing a task',
    arrange: async (control) => {
      const thread = await running(control, (await two(control)).w1, 'a');
      await step(control, thread, { opens: 1 });
      const query = await queryOf((session) => queue(session, thread.worker, [taskItem(thread, 0)]));
      return { query, requestNo: nextNumber() };
    },
    one: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
    other: (session, { query }) => session.query(query),
  }),
  race({
    name: 'R11 terminate / commits of main thread and hook in one call',
    arrange: async (control) => {
      const main = await running(control, (await two(control)).w1, 'a');
      const hook = await hookOf(control, main, 'owned');
      return { main, items: [entry(hook, {}), entry(main, {})], requestNo: nextNumber() };
    },
    one: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
    other: (session, { main, items }) => commitAll(session, main.worker, items),
    stopsBoth: true,
  }),
  ...(['anybody', 'the workflow'] as const).flatMap((to) => [
    race({
      name: `R12 continueAsNew / a signal to ${to}, which waits`,
      arrange: async (control) => {
        const thread = await awaiting(control, (await two(control)).w1, 'a');
        const item = entry(thread, { closing: 'continued', result: '[]' });
        return { thread, item, sent: signalItem('go', { payload: '1', workflowId: to === 'anybody' ? null : 'a' }) };
      },
      one: (session, { thread, item }) => commitOne(session, thread, item),
      other: (session, { sent }) => signalAll(session, [sent]),
      settle: async (control, { thread }) => {
        await keepHouse(control);
        const next = await claimOnly(control, thread.worker, 'a');
        return await step(control, next, { opens: 1, effects: [wait(0, 'go')] });
      },
    }),
    race({
      name: `R12 continueAsNew / a signal to ${to}, which does not wait`,
      arrange: async (control) => {
        const thread = await running(control, (await two(control)).w1, 'a');
        const item = entry(thread, { closing: 'continued', result: '[]' });
        return { thread, item, sent: signalItem('go', { payload: '1', workflowId: to === 'anybody' ? null : 'a' }) };
      },
      one: (session, { thread, item }) => commitOne(session, thread, item),
      other: (session, { sent }) => signalAll(session, [sent]),
      settle: async (control, { thread }) => {
        const next = await claimOnly(control, thread.worker, 'a');
        return await step(control, next, { opens: 1, effects: [wait(0, 'go')] });
      },
    }),
  ]),
  race({
    name: 'R13 start / start of one id',
    arrange: async () => [startItem('a', { args: '[1]' }), startItem('a', { args: '[2]' })] as const,
    one: async (session, [item]) => statuses(session, [item]),
    other: async (session, [, item]) => statuses(session, [item]),
  }),
  race({
    name: 'R13 start / start of one reservation',
    arrange: async (control) => {
      await startAll(control, [startItem('a', { terms: terms({ pendingMs: 60_000 }) })]);
      return [startItem('a', { args: '[1]' }), startItem('a', { args: '[2]' })] as const;
    },
    one: async (session, [item]) => statuses(session, [item]),
    other: async (session, [, item]) => statuses(session, [item]),
  }),
  race({
    name: 'R13 start / the start of a child of that id',
    arrange: async (control) => {
      const parent = await running(control, (await two(control)).w1, 'parent');
      return { parent, item: entry(parent, { opens: 1, effects: [child(0, 'a')] }), started: startItem('a') };
    },
    one: (session, { started }) => statuses(session, [started]),
    other: (session, { parent, item }) => commitOne(session, parent, item),
  }),
  race({
    name: 'R13 start of a reservation / a signal to it',
    arrange: async (control) => {
      await startAll(control, [startItem('a', { terms: terms({ pendingMs: 60_000 }) })]);
      return { started: startItem('a'), sent: signalItem('go', { workflowId: 'a', payload: '1' }) };
    },
    one: (session, { started }) => statuses(session, [started]),
    other: (session, { sent }) => signalAll(session, [sent]),
  }),
  race({
    name: 'R13 start of a reservation / terminate',
    arrange: async (control) => {
      await startAll(control, [startItem('a', { terms: terms({ pendingMs: 60_000 }) })]);
      return { started: startItem('a'), requestNo: nextNumber() };
    },
    one: (session, { started }) => statuses(session, [started]),
    other: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
  }),
  ...(['completed', 'continued'] as const).map((closing) =>
    race({
      name: `R14 the end of a child / its parent is ${closing}`,
      arrange: async (control) => {
        const { w1, w2 } = await two(control);
        const { parent, kid } = await family(control, w1, w2);
        return {
          parent,
          kid,
          last: entry(parent, { closing, result: '[]' }),
          item: entry(kid, { closing: 'completed', result: '1' }),
        };
      },
      one: (session, { kid, item }) => commitOne(session, kid, item),
      other: (session, { parent, last }) => commitOne(session, parent, last),
    }),
  ),
  race({
    name: 'R14 the end of a child / its parent is terminated',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const { kid } = await family(control, w1, w2);
      return { kid, item: entry(kid, { closing: 'completed', result: '1' }), requestNo: nextNumber() };
    },
    one: (session, { kid, item }) => commitOne(session, kid, item),
    other: (session, { requestNo }) => terminate(session, 'parent', { requestNo }),
  }),
  ...(['completed', 'continued'] as const).map((closing) =>
    race({
      name: `R14 a child is ${closing} / its parent gives it up`,
      arrange: async (control) => {
        const { w1, w2 } = await two(control);
        const { parent, kid } = await family(control, w1, w2);
        return {
          parent,
          kid,
          up: entry(parent, { resolves: [0], effects: [uncall(0)] }),
          item: entry(kid, { closing, result: '[]' }),
        };
      },
      one: (session, { kid, item }) => commitOne(session, kid, item),
      other: (session, { parent, up }) => commitOne(session, parent, up),
    }),
  ),
  race({
    name: 'R14 a child parks / its parent gives it up',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const { parent, kid } = await family(control, w1, w2);
      await step(control, kid, { opens: 1, effects: [wait(0, 'go')] });
      return { parent, kid, up: entry(parent, { resolves: [0], effects: [uncall(0)] }) };
    },
    one: (session, { kid }) => park(session, kid, [0]),
    other: (session, { parent, up }) => commitOne(session, parent, up),
  }),
  race({
    name: 'R14 the ends of two children of one parent',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const parent = await running(control, w1, 'parent');
      await step(control, parent, { opens: 2, effects: [child(0, 'c0'), child(1, 'c1')] });
      const kids = await claim(control, w2);
      await park(control, parent, [0, 1]);
      return { kids, items: kids.map((kid) => entry(kid, { closing: 'completed', result: '1' })) };
    },
    one: (session, { kids, items }) => commitOne(session, kids[0]!, items[0]!),
    other: (session, { kids, items }) => commitOne(session, kids[1]!, items[1]!),
  }),
  race({
    name: 'R17 the end of a main thread / a commit of its hook',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const main = await running(control, w1, 'a');
      const hook = await hookOf(control, main, 'owned', w2);
      return { main, hook, last: entry(main, { closing: 'completed', result: '1' }), item: everyEffect(hook) };
    },
    one: (session, { main, last }) => commitOne(session, main, last),
    other: (session, { hook, item }) => commitOne(session, hook, item),
  }),
];

const statuses = async (session: Session, items: readonly StartItem[]) =>
  (await startAll(session, items)).map(({ status }) => status);

// ---- R15 a call and its own late original

const twice = <Cast>(
  name: string,
  arrange: (control: Session) => Promise<Cast>,
  call: (session: Session, cast: Cast) => Promise<unknown>,
) => race({ name: `R15 ${name} / the same call again`, arrange, one: call, other: call });

const repetitions = [
  ...(
    [
      [
        'a commit with every effect',
        (thread) => [...everyEffect(thread).effects, send(4, 'sent', '1'), child(5, 'taken')],
      ],
      ['a commit without effects', () => []],
    ] as [string, (thread: Thread) => Effect[]][]
  ).map(([name, effects]) =>
    twice(
      name,
      async (control) => {
        const { w1, w2 } = await two(control);
        await start(control, 'taken');
        await claim(control, w2);
        const thread = await running(control, w1, 'a');
        const made = effects(thread);
        return { thread, item: entry(thread, { opens: made.length, effects: made }) };
      },
      (session, { thread, item }) => commitOne(session, thread, item),
    ),
  ),
  twice(
    'a commit whose timer fired',
    async (control) => {
      const thread = await running(control, (await two(control)).w1, 'a');
      await step(control, thread, { opens: 2, effects: [timer(0, 0), wait(1, 'go')] });
      return { thread, item: entry(thread, { resolves: [0, 1], effects: [fire(0), unwait(1)] }) };
    },
    (session, { thread, item }) => commitOne(session, thread, item),
  ),
  ...(['completed', 'continued'] as const).map((closing) =>
    twice(
      `the commit by which a run is ${closing}`,
      async (control) => {
        const { w1, w2 } = await two(control);
        const { kid } = await family(control, w2, w1);
        return { kid, item: entry(kid, { closing, result: '[]' }) };
      },
      (session, { kid, item }) => commitOne(session, kid, item),
    ),
  ),
  twice(
    'start',
    async () => [startItem('a'), startItem('b')],
    (session, items) => statuses(session, items),
  ),
  twice(
    'start of a reservation',
    async (control) => {
      await startAll(control, [startItem('a', { terms: terms({ pendingMs: 60_000 }) })]);
      return [startItem('a')];
    },
    (session, items) => statuses(session, items),
  ),
  twice(
    'a signal',
    async (control) => {
      await waiting(control, (await two(control)).w1, 'a', 'go');
      return ['go', 'go', 'none'].map((id) => signalItem(id, { payload: '1' }));
    },
    (session, items) => signalAll(session, items),
  ),
  twice(
    'a signal to a workflow',
    async (control) => {
      await waiting(control, (await two(control)).w1, 'a', 'go');
      return ['a', 'a', 'none'].map((workflowId) => signalItem('go', { payload: '1', workflowId }));
    },
    (session, items) => signalAll(session, items),
  ),
  twice(
    'terminate',
    async (control) => {
      await running(control, (await two(control)).w1, 'a');
      return nextNumber();
    },
    (session, requestNo) => terminate(session, 'a', { requestNo }),
  ),
  twice(
    'the end of a task',
    async (control) => {
      const { w1, w2 } = await two(control);
      const thread = await running(control, w1, 'a');
      await step(control, thread, { opens: 1, effects: [task(0)] });
      const [taken] = await takeTasks(control, w2);
      return { w2, outcome: outcomeOfTask(taken!, 'done', '1') };
    },
    async (session, { w2, outcome }) => void (await finish(session, w2, [outcome])),
  ),
  twice(
    'the retry of a task',
    async (control) => {
      const { w1, w2 } = await two(control);
      const thread = await running(control, w1, 'a');
      await step(control, thread, { opens: 1, effects: [task(0)] });
      const [taken] = await takeTasks(control, w2);
      return { w2, outcome: outcomeOfTask(taken!, 'retry', '1') };
    },
    async (session, { w2, outcome }) => void (await finish(session, w2, [outcome])),
  ),
  twice(
    'queueing a task',
    async (control) => {
      const thread = await running(control, (await two(control)).w1, 'a');
      await step(control, thread, { opens: 1 });
      return await queryOf((session) => queue(session, thread.worker, [taskItem(thread, 0)]));
    },
    (session, query) => session.query(query),
  ),
  twice(
    'parking',
    async (control) => ({ thread: await awaiting(control, (await two(control)).w1, 'a') }),
    (session, { thread }) => park(session, thread, [0]),
  ),
  twice(
    'registering',
    async () => {},
    async (session) => (await register(session, 'w1')).key,
  ),
];

// ---- further pairs that touch the same rows

const others = [
  race({
    name: 'the end of a task / its workflow gives it up',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const thread = await running(control, w1, 'a');
      await step(control, thread, { opens: 1, effects: [task(0)] });
      const [taken] = await takeTasks(control, w2);
      return {
        thread,
        w2,
        outcome: outcomeOfTask(taken!, 'done', '1'),
        item: entry(thread, { resolves: [0], effects: [untask(0)] }),
      };
    },
    one: async (session, { w2, outcome }) => void (await finish(session, w2, [outcome])),
    other: (session, { thread, item }) => commitOne(session, thread, item),
  }),
  race({
    name: 'a claim of a task / its workflow gives it up',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const thread = await running(control, w1, 'a');
      await step(control, thread, { opens: 1, effects: [task(0)] });
      return { thread, w2, claimNo: nextNumber(), item: entry(thread, { resolves: [0], effects: [untask(0)] }) };
    },
    one: async (session, { w2, claimNo }) => void (await takeTasks(session, w2, { claimNo })),
    other: (session, { thread, item }) => commitOne(session, thread, item),
  }),
  race({
    name: 'the end of a task / a signal to the same thread',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const thread = await running(control, w1, 'a');
      await step(control, thread, { opens: 2, effects: [task(0), wait(1, 'go')] });
      const [taken] = await takeTasks(control, w2);
      await park(control, thread, [0, 1]);
      return { w2, outcome: outcomeOfTask(taken!, 'done', '1'), sent: signalItem('go', { payload: '1' }) };
    },
    one: async (session, { w2, outcome }) => void (await finish(session, w2, [outcome])),
    other: (session, { sent }) => signalAll(session, [sent]),
    settle: async (control) =>
      void (await control.sql(`update ${SCHEMA}.inbox set op = 9, kind = '', payload = '', signal_id = ''`)),
  }),
];

export const races: readonly Race[] = [
  ...parkOrDeliver,
  ...leases,
  ...signals,
  ...ends,
  ...repetitions,
  ...others,
  ...documentRaces,
  ...hookRaces,
  ...idRaces,
  ...taskRaces,
  ...pruneRaces,
  ...operationRaces,
];
