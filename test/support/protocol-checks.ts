/**
 * Short checks of what must hold, to be run on sound functions and on such with a planted bug (reliability plan, 3d).
 * Each throws when it finds the promise broken.
 */

import { expect } from 'vitest';
import { fetchEmissions } from '../../src/postgres/protocol/emissions.js';
import { fetchOwned, loadHistory } from '../../src/postgres/protocol/threads.js';
import { hookChecks } from './hook-checks.js';
import { idChecks } from './id-checks.js';
import { outcomeOf, untilAnswered } from './pause.js';
import { explain, runRace } from './pause-race.js';
import {
  answer,
  answerItem,
  beat,
  cancel,
  child,
  claim,
  claimOnly,
  commitAll,
  commitOne,
  complete,
  die,
  emit,
  entry,
  expire,
  expireLease,
  finish,
  fire,
  keepHouse,
  limits,
  mailOf,
  nextNumber,
  outcomeOf as outcomeOfTask,
  park,
  queue,
  reapDead,
  register,
  release,
  running,
  search,
  send,
  setClock,
  signal,
  signalAll,
  signalItem,
  start,
  startAll,
  startHere,
  startItem,
  step,
  type Thread,
  take,
  takeTasks,
  task,
  taskItem,
  terminate,
  timer,
  uncall,
  untask,
  untimer,
  unwait,
  violations,
  wait,
  waiting,
} from './protocol.js';
import { races } from './protocol-races.js';
import { failureOf, queryOf, SCHEMA, type Session } from './protocol-session.js';
import { stateOf } from './protocol-state.js';
import type { Check, Stage } from './stage.js';
import { terminationChecks } from './termination-checks.js';

/** The race of this name, in every interleaving. */
export const raceOf =
  (name: string): Check =>
  async ({ database, one, other }) => {
    const race = races.find((each) => each.name === name);
    if (race === undefined) throw new Error(`no race is called ${name}`);
    expect(explain(await runRace(database, { one, other }, race))).toBe('');
  };

/** What the check does, and then that no invariant is violated. */
const soundly =
  (check: Check): Check =>
  async (stage) => {
    await check(stage);
    expect(await violations(stage.control)).toEqual([]);
  };

const written: Record<string, Check> = {
  'a history has one entry at each place': async ({ control }) => {
    const thread = await running(control, await register(control), 'a');
    const rival = entry(thread);
    await step(control, thread);
    expect((await commitOne(control, thread, rival)).status).toBe('fenced');
    expect(await loadHistory(control, SCHEMA, thread.thread_no)).toHaveLength(1);
  },

  'a start that is asked again says whose it is now': async ({ control }) => {
    const here = await register(control);
    const item = startItem('a');
    const first = await startHere(control, here, [item], 7);
    expect(first.answers[0]).toHaveProperty('owned');
    const [thread] = await claim(control, here, { claimNo: 7 });
    await release(control, thread as Thread);
    await claim(control, here);
    expect((await startHere(control, here, [item], 7)).answers[0]).not.toHaveProperty('owned');
  },
  'an entry follows the one it builds on': async ({ control }) => {
    const thread = await running(control, await register(control), 'a');
    await step(control, thread);
    const gap = { ...entry(thread), seq: 2, previousCommitNo: 77 };
    expect((await commitOne(control, thread, gap)).status).toBe('fenced');
    expect((await commitOne(control, thread, { ...entry(thread), previousCommitNo: 77 })).status).toBe('fenced');
  },

  'a commit names the claim it goes by': async ({ control }) => {
    const worker = await register(control);
    const thread = await running(control, worker, 'a');
    await die(control, worker);
    const next = await register(control, 'next');
    await claimOnly(control, next, 'a');
    expect((await commitAll(control, next, [entry(thread)]))[0]?.status).toBe('fenced');
  },

  'a worker whose lease is over commits nothing': async ({ control }) => {
    const worker = await register(control);
    const thread = await running(control, worker, 'a');
    await expireLease(control, worker);
    expect(await failureOf(commitOne(control, thread, entry(thread)))).toBe('PD002');
    await reapDead(control);
    expect(await failureOf(commitOne(control, thread, entry(thread)))).toBe('PD002');
  },

  'a lease that ends while a commit waits is over': async ({ database, control, one }) => {
    const worker = await register(control, 'worker', { leaseMs: 300 });
    const thread = await running(control, worker, 'a');
    await control.sql('begin');
    await control.sql(`select from ${SCHEMA}.worker where worker_no = $1::int for update`, worker.no);
    const call = outcomeOf(commitOne(one, thread, entry(thread)));
    await database.untilStopped(one, call);
    await control.sql(
      `select pg_sleep(extract(epoch from lease_until - clock_timestamp()) + 0.01) from ${SCHEMA}.worker`,
    );
    await control.sql('rollback');
    expect(await call).toEqual({ error: 'PD002' });
  },

  'the living keep what they own': async ({ control }) => {
    const worker = await register(control);
    await running(control, worker, 'a');
    await reapDead(control);
    expect(await stateOf(control)).toMatchObject({
      threads: [{ state: 'owned', owner: 'worker' }],
      workers: [{ dead: false }],
    });
  },

  'the tasks of the dead are done by others, and counted': async ({ control }) => {
    const [worker, other] = [await register(control), await register(control, 'other')];
    const thread = await running(control, other, 'a');
    await step(control, thread, { opens: 1, effects: [task(0)] });
    await takeTasks(control, worker);
    await die(control, worker);
    expect(await takeTasks(control, other)).toMatchObject([{ attempt: 1, losses: 1 }]);
  },

  'a timer fires when it is due, not earlier': async ({ control }) => {
    const worker = await register(control);
    const thread = await running(control, worker, 'a');
    await step(control, thread, { opens: 1, effects: [timer(0, 60_000)] });
    const item = entry(thread, { resolves: [0], effects: [fire(0)] });
    expect((await commitOne(control, thread, item)).status).toBe('early');
    expect(await park(control, thread, [0])).toBe('parked');
    expect(await claim(control, worker)).toEqual([]);
  },

  'a timer that lost is disarmed': async ({ control }) => {
    const thread = await running(control, await register(control), 'a');
    await step(control, thread, { opens: 2, effects: [timer(0, 60_000), wait(1, 'go')] });
    await signal(control, 'go');
    await step(control, thread, { resolves: [0, 1], effects: [untimer(0)] });
    expect((await stateOf(control)).timers).toEqual([]);
  },

  'one signal reaches one waiter': async ({ control }) => {
    const worker = await register(control);
    for (const id of ['a', 'b']) await waiting(control, worker, id, 'go');
    for (const payload of ['1', '2', '3']) await signal(control, 'go', { payload });
    const { inbox, signals } = await stateOf(control);
    expect(inbox?.map(({ thread, payload }) => [thread, payload])).toEqual([
      ['a/0', '1'],
      ['b/0', '2'],
    ]);
    expect(signals).toMatchObject([{ payload: '3' }]);
  },

  'kept signals go out once, oldest first, and not when expired': async ({ control }) => {
    const worker = await register(control);
    await signal(control, 'go', { payload: '0', expireMs: 1 });
    for (const payload of ['1', '2']) await signal(control, 'go', { payload });
    await setClock(control, '1 second');
    const threads = [
      await running(control, worker, 'a'),
      await running(control, worker, 'b'),
      await running(control, worker, 'c'),
    ];
    const outcomes = [];
    for (const thread of threads) outcomes.push(await step(control, thread, { opens: 1, effects: [wait(0, 'go')] }));
    expect(outcomes).toEqual([[[0, 'signal', 1]], [[0, 'signal', 2]], []]);
  },

  'a signal to a workflow reaches no other': async ({ control }) => {
    const worker = await register(control);
    for (const id of ['a', 'b']) await waiting(control, worker, id, 'go');
    await signal(control, 'go', { workflowId: 'b' });
    expect(await stateOf(control)).toMatchObject({ inbox: [{ thread: 'b/0' }] });
  },

  'a repeated signal is known also when it was consumed': async ({ control }) => {
    const worker = await register(control);
    const thread = await running(control, worker, 'a');
    await step(control, thread, { opens: 2, effects: [wait(0, 'go'), wait(1, 'go')] });
    const item = signalItem('go');
    await signalAll(control, [item]);
    const [mail] = await mailOf(control, worker);
    await step(control, thread, { resolves: [0], consumes: [mail!.inbox_no] });
    expect(await signalAll(control, [item])).toEqual(['delivered']);
    expect((await stateOf(control)).inbox).toEqual([]);
  },

  'a repeated commit is known, and answered as at first': async ({ control }) => {
    const worker = await register(control);
    await start(control, 'taken');
    await claim(control, worker);
    const thread = await running(control, worker, 'a');
    const item = entry(thread, { opens: 2, effects: [child(0, 'taken'), task(1)] });
    const first = await commitOne(control, thread, item);
    expect(first).toEqual({ status: 'decided', detail: '[[0,"duplicate","taken"]]' });
    expect(await commitOne(control, thread, item)).toEqual({ status: 'again', detail: first.detail });
    expect((await stateOf(control)).tasks).toHaveLength(1);
  },

  'a repeated start is known': async ({ control }) => {
    const item = startItem('a');
    const first = await startAll(control, [item]);
    expect(await startAll(control, [item])).toEqual(first);
  },

  'a repeated claim answers the same': async ({ control }) => {
    const worker = await register(control);
    for (const id of ['a', 'b']) await start(control, id);
    await claim(control, worker, { claimNo: 1, limit: 1 });
    expect((await claim(control, worker, { claimNo: 1, limit: 1 })).map(({ workflow_id }) => workflow_id)).toEqual([
      'a',
    ]);
  },

  'what a worker owns and has not heard of is told': async ({ control }) => {
    const worker = await register(control);
    const thread = await running(control, worker, 'a');
    const owned = await fetchOwned(control, SCHEMA, worker.no, nextNumber());
    expect(owned.threads).toEqual([{ threadNo: thread.thread_no, epoch: 1 }]);
  },

  'a completed activity never runs again': async ({ control }) => {
    const [worker, other] = [await register(control), await register(control, 'other')];
    const thread = await running(control, worker, 'a');
    await step(control, thread, { opens: 1 });
    const query = await queryOf((recorder) => queue(recorder, worker, [taskItem(thread, 0)]));
    await control.query(query);
    const [taken] = await takeTasks(control, other);
    await finish(control, other, [outcomeOfTask(taken!, 'done')]);
    await control.query(query);
    expect(await takeTasks(control, other)).toEqual([]);
    const [mail] = await mailOf(control, worker);
    await step(control, thread, { resolves: [0], consumes: [mail!.inbox_no] });
    await control.query(query);
    expect(await takeTasks(control, other)).toEqual([]);
  },

  'a refused entry has no effect, and harms no other': async ({ control }) => {
    const worker = await register(control);
    for (const id of ['a', 'b']) await start(control, id);
    const [a, b] = await claim(control, worker);
    await step(control, a!, { opens: 1, effects: [wait(0, 'go')] });
    await signal(control, 'go');
    const [mail] = await mailOf(control, worker);
    const before = await stateOf(control);
    const effects = [timer(1, 60_000), task(2), child(3, 'child')];
    const refused = {
      ...entry(a!, { opens: 3, consumes: [mail!.inbox_no], effects, closing: 'completed' }),
      previousCommitNo: 77,
    };
    const answers = await commitAll(control, worker, [refused, entry(b!)]);
    expect(answers.map(({ status }) => status)).toEqual(['fenced', 'done']);
    const after = await stateOf(control);
    for (const part of ['executions', 'threads', 'inbox', 'timers', 'tasks']) expect(after[part]).toEqual(before[part]);
  },

  'a wait that was answered is not given up': async ({ control }) => {
    const thread = await running(control, await register(control), 'a');
    await step(control, thread, { opens: 2, effects: [timer(0, 0), wait(1, 'go')] });
    await signal(control, 'go');
    const item = entry(thread, { resolves: [0, 1], effects: [fire(0), unwait(1)] });
    expect((await commitOne(control, thread, item)).status).toBe('stale');
  },

  'a parent hears of its child and wakes': async ({ control }) => {
    const worker = await register(control);
    const parent = await running(control, worker, 'parent');
    await step(control, parent, { opens: 1, effects: [child(0, 'child')] });
    await park(control, parent, [0]);
    await complete(control, await claimOnly(control, worker, 'child'));
    await claimOnly(control, worker, 'parent');
  },

  'a task that was withdrawn is not run': async ({ control }) => {
    const worker = await register(control);
    const thread = await running(control, worker, 'a');
    await step(control, thread, { opens: 1, effects: [task(0)] });
    await step(control, thread, { resolves: [0], effects: [untask(0)] });
    expect(await takeTasks(control, worker)).toEqual([]);
  },

  'a bound activity goes with its thread': async ({ control }) => {
    const worker = await register(control);
    const thread = await running(control, worker, 'a');
    await step(control, thread, { opens: 1 });
    await queue(control, worker, [taskItem(thread, 0, { taskQueue: null })]);
    await release(control, thread);
    const again = await claimOnly(control, worker, 'a');
    expect(await take(control, thread, 0)).toBeNull();
    expect(await take(control, again, 0)).toMatchObject({ attempt: 1 });
  },

  'a heartbeat puts off the limit of silence': async ({ control }) => {
    const worker = await register(control);
    const thread = await running(control, worker, 'a');
    await step(control, thread, { opens: 1, effects: [task(0), limits(0, { heartbeat: 60_000 })] });
    const [taken] = await takeTasks(control, worker);
    await setClock(control, '50 seconds');
    await beat(control, worker, taken!);
    await setClock(control, '70 seconds');
    await expire(control);
    expect(await stateOf(control)).toMatchObject({ tasks: [{ owner: 'worker', attempt: 1 }] });
  },

  'a repeated answer from outside is known': async ({ control }) => {
    const thread = await running(control, await register(control), 'a');
    await step(control, thread, { opens: 1, effects: [task(0)] });
    const item = answerItem(thread, 0);
    expect([await answer(control, item), await answer(control, item)]).toEqual(['done', 'done']);
  },

  'an activity that was answered becomes no task': async ({ control }) => {
    const worker = await register(control);
    const thread = await running(control, worker, 'a');
    await step(control, thread, { opens: 1 });
    await answer(control, answerItem(thread, 0));
    await queue(control, worker, [taskItem(thread, 0)]);
    expect((await stateOf(control)).tasks).toEqual([]);
  },

  'what came too late is not claimed': async ({ control }) => {
    const worker = await register(control);
    const thread = await running(control, worker, 'a');
    await step(control, thread, { opens: 1, effects: [task(0), limits(0, { scheduleToStart: 0 })] });
    expect(await takeTasks(control, worker)).toEqual([]);
  },

  'a child that is given up is cancelled': async ({ control }) => {
    const worker = await register(control);
    const parent = await running(control, worker, 'parent');
    await step(control, parent, { opens: 1, effects: [child(0, 'child')] });
    await step(control, parent, { resolves: [0], effects: [uncall(0)] });
    expect((await claimOnly(control, worker, 'child')).cancel_requested).toBe(true);
  },

  'continueAsNew begins the next run with what was not consumed': async ({ control }) => {
    const worker = await register(control);
    const first = await running(control, worker, 'a');
    await step(control, first, { opens: 1, effects: [wait(0, 'go')] });
    await signal(control, 'go', { workflowId: 'a', payload: '1' });
    await cancel(control, 'a');
    await step(control, first, { closing: 'continued', result: '[]' });
    const second = await claimOnly(control, worker, 'a');
    expect(second.cancel_requested).toBe(true);
    expect(await step(control, second, { opens: 1, effects: [wait(0, 'go')] })).toEqual([[0, 'signal', 1]]);
  },

  'what was put back finds who waits': async ({ control }) => {
    const worker = await register(control);
    const ended = await running(control, worker, 'ended');
    await step(control, ended, { opens: 1, effects: [wait(0, 'go')] });
    await signal(control, 'go', { payload: '1' });
    await waiting(control, worker, 'next', 'go');
    await complete(control, ended);
    await keepHouse(control);
    expect(await stateOf(control)).toMatchObject({ inbox: [{ thread: 'next/0', payload: '1' }] });
  },

  'an outcome never changes': async ({ control }) => {
    const thread = await running(control, await register(control), 'a');
    await complete(control, thread);
    const before = await stateOf(control);
    await terminate(control, 'a');
    await cancel(control, 'a');
    expect(await stateOf(control)).toEqual(before);
  },

  'terminate fences whoever runs the workflow': async ({ control }) => {
    const thread = await running(control, await register(control), 'a');
    await terminate(control, 'a');
    expect((await commitOne(control, thread, entry(thread))).status).toBe('fenced');
  },

  'only read committed will do': async ({ control }) => {
    const thread = await running(control, await register(control), 'a');
    await control.sql('begin isolation level repeatable read');
    const failure = await failureOf(commitOne(control, thread, entry(thread)));
    await control.sql('rollback');
    expect(failure).toBe('PD001');
  },

  'signals from workflows in opposite order do not meet in a deadlock': async (stage) => {
    const worker = await register(stage.control);
    for (const id of ['a', 'b', 'x', 'y']) await waiting(stage.control, worker, `waits-${id}`, id);
    for (const id of ['s1', 's2', 's3']) await start(stage.control, id);
    const senders = await claim(stage.control, worker);
    await crossed(stage, (session, ids) => {
      const sender = senders[[stage.holder, stage.one, stage.other].indexOf(session)]!;
      const effects = ids.map((id, op) => send(op, id));
      return commitOne(session, sender, entry(sender, { opens: ids.length, effects }));
    });
  },

  'starts in opposite order do not meet in a deadlock': async (stage) => {
    await register(stage.control); // else the service is new, and they wait for that
    await crossed(stage, (session, ids) =>
      startAll(
        session,
        ids.map((id) => startItem(id)),
      ),
    );
  },

  'signals to workflows in opposite order do not meet in a deadlock': async (stage) => {
    const worker = await register(stage.control);
    for (const id of ['a', 'b', 'x', 'y']) await running(stage.control, worker, id);
    await crossed(stage, (session, ids) =>
      signalAll(
        session,
        ids.map((workflowId) => signalItem('go', { workflowId })),
      ),
    );
  },

  'emitted events become visible in the order of their positions': async ({ database, control, one, other }) => {
    const worker = await register(control);
    for (const id of ['a', 'b']) await start(control, id);
    const [a, b] = await claim(control, worker);
    const [first, second] = [entry(a!, { effects: [emit('first')] }), entry(b!, { effects: [emit('second')] })];
    const slow = await database.park(one, 'keep_emissions.numbered', () => commitOne(one, a!, first));
    const quick = outcomeOf(commitOne(other, b!, second));
    await database.untilStopped(other, quick);
    const before = await positionsOf(control);
    await slow.release();
    await quick;
    const after = await positionsOf(control);
    const passedOver = after.filter((position) => !before.includes(position) && position < Math.max(0, ...before));
    expect(passedOver).toEqual([]);
  },

  'a repeated commit counts once, and gives what it gave before': async ({ control }) => {
    const thread = await running(control, await register(control), 'a');
    const item = entry(thread, { opens: 1, effects: [search(0, 'incr', ['n', 1])] });
    await commitOne(control, thread, item);
    expect(await commitOne(control, thread, item)).toEqual({ status: 'again', detail: '[[0,"value",1]]' });
    expect((await stateOf(control)).documents).toEqual([{ run: 'a/0', search: { n: '1' }, entity: null }]);
  },

  'continueAsNew takes the documents along': async ({ control }) => {
    const worker = await register(control);
    const thread = await running(control, worker, 'a', { search: '{"n":"1"}' });
    await step(control, thread, {
      opens: 1,
      effects: [search(0, 'incr', ['n', 1])],
      closing: 'continued',
      result: '[]',
    });
    expect((await stateOf(control)).documents).toEqual([{ run: 'a/1', search: { n: '2' }, entity: null }]);
  },

  'an event of a refused commit is not emitted': async ({ control }) => {
    const thread = await running(control, await register(control), 'a');
    const item = entry(thread, { effects: [emit('one')] });
    await commitOne(control, thread, item);
    await commitOne(control, thread, item);
    expect(await positionsOf(control)).toEqual([1]);
  },

  'an emitted event is not kept for ever': async ({ control }) => {
    const thread = await running(control, await register(control), 'a', { expireS: 1 });
    await step(control, thread, { effects: [emit('one')] });
    await keepHouse(control);
    expect(await positionsOf(control)).toEqual([1]);
    await setClock(control, '11 minutes');
    await keepHouse(control);
    expect(await positionsOf(control)).toEqual([]);
  },
};

async function positionsOf(session: Session): Promise<number[]> {
  const everything = { after: 0, workflowId: null, topic: null, pattern: null };
  const { pages } = await fetchEmissions(session, SCHEMA, [everything]);
  return pages[0]?.rows.map(({ emission_no }) => emission_no) ?? [];
}

/** Two calls name `a` and `b` in opposite order, with something in between that a third one holds. See lock-order.test.ts. */
async function crossed(
  { database, one, other, holder }: Stage,
  call: (session: Session, ids: readonly string[]) => Promise<unknown>,
): Promise<void> {
  const held = await database.park(holder, 'end', () => call(holder, ['x', 'y']));
  const calls = [
    [one, ['a', 'x', 'b']],
    [other, ['b', 'y', 'a']],
  ] as const;
  const outcomes = [];
  for (const [session, ids] of calls) {
    const outcome = outcomeOf(untilAnswered(() => call(session, ids)));
    await database.untilStopped(session, outcome);
    outcomes.push(outcome);
  }
  await held.release();
  for (const outcome of outcomes) expect(await outcome).toHaveProperty('answer');
}

export const checks: Record<string, Check> = Object.fromEntries(
  Object.entries({ ...written, ...hookChecks, ...terminationChecks, ...idChecks }).map(([name, check]) => [
    name,
    soundly(check),
  ]),
);
