/** Each query of violations() finds what it is there for, and nothing else does. */

import { expect, it } from 'vitest';
import { functions } from '../../src/postgres/embedded-sql.js';
import {
  block,
  child,
  claim,
  claimOnly,
  complete,
  die,
  emit,
  fire,
  hookOf,
  limits,
  onEveryDatabase,
  openHook,
  park,
  pause,
  queue,
  register,
  reset,
  running,
  signal,
  start,
  step,
  task,
  taskItem,
  terms,
  timer,
  violations,
  wait,
} from '../support/protocol.js';
import type { Session } from '../support/protocol-session.js';

/** A little of everything. Names that the plantings use are the workflow ids; `run` is 0 where none is named. */
async function healthyData(session: Session): Promise<void> {
  const worker = await register(session);
  const dead = await register(session, 'dead');

  const revived = await running(session, dead, 'revived');
  await step(session, revived);
  await die(session, dead);
  await step(session, await claimOnly(session, worker, 'revived'));

  const busy = await running(session, worker, 'busy');
  await step(session, busy, { opens: 3, effects: [timer(0, 0), wait(1, 'go-busy'), task(2)] });
  await step(session, busy, { resolves: [0], effects: [fire(0)] });
  await step(session, busy, { effects: [emit('seen')] });
  await hookOf(session, busy, 'owned');

  const parked = await running(session, worker, 'parked');
  await step(session, parked, { opens: 2, effects: [wait(0, 'go-parked'), timer(1, 60_000)] });
  expect(await park(session, parked, [0, 1])).toBe('parked');

  const steps = await running(session, worker, 'steps');
  await step(session, steps, { opens: 1 });
  await queue(session, worker, [taskItem(steps, 0, { taskQueue: null, attempt: 2, delayMs: 60_000 })]);
  expect(await park(session, steps, [0])).toBe('parked');

  const limited = await running(session, worker, 'limited');
  const waits = { scheduleToStart: 60_000, scheduleToClose: 90_000 };
  await step(session, limited, { opens: 1, effects: [task(0, 'act', 'elsewhere'), limits(0, waits)] });

  const parent = await running(session, worker, 'parent');
  await step(session, parent, { opens: 1, effects: [child(0, 'kid')] });
  expect(await park(session, parent, [0])).toBe('parked');
  await claimOnly(session, worker, 'kid');

  const asker = await running(session, worker, 'asker');
  await step(session, asker, { opens: 1, effects: openHook(0, null, { awaits: 'answer' }) });
  await complete(session, await claimOnly(session, worker, 'asker'));

  const told = await running(session, worker, 'told');
  await step(session, told, { opens: 1, effects: [child(0, 'told-kid')] });
  await complete(session, await claimOnly(session, worker, 'told-kid'));

  await step(session, await running(session, worker, 'chain'), { closing: 'continued', result: '[]' });
  await claim(session, worker);
  await complete(session, await running(session, worker, 'finished'));
  expect(await block(session, await running(session, worker, 'blocked'))).toBe('blocked');
  const paused = await running(session, worker, 'paused');
  await step(session, paused, { opens: 1, effects: [task(0, 'act', 'elsewhere')] });
  expect(await park(session, paused, [0])).toBe('parked');
  await running(session, worker, 'pausing');
  expect(await pause(session, ['paused', 'pausing'])).toEqual(['paused', 'paused']);
  await session.sql(`update durable.activity_task set ready_at = null where ${THREAD('paused')}`); // laid aside
  const gone = await running(session, worker, 'gone back');
  await step(session, gone, { opens: 1, effects: [wait(0, 'back')] });
  await step(session, gone);
  expect(await park(session, gone, [0])).toBe('parked');
  const again = { keep: 1, opened: 1, waits: [{ op: 0, signalId: 'back' }] };
  expect(await reset(session, gone.run_no, again)).toMatchObject({ status: 'reset' });
  await signal(session, 'kept');
  await start(session, 'reserved', { terms: terms({ pendingMs: 60_000 }) });
  await start(session, 'ready');
}

const of = (id: string, run = 0) =>
  `(select run_no from durable.execution where workflow_id = '${id}' and run = ${run})`;
const EXECUTION = (id: string, run = 0) => `workflow_id = '${id}' and run = ${run}`;
const THREAD = (id: string) => `thread_no = ${of(id)}`;

const HOOK_OF = (id: string) => `run_no = ${of(id)} and thread_no <> run_no`;

/** SQL that breaks healthy data in this way and no other. */
const PLANTED: Record<string, string[]> = {
  'I1 history has a gap or a false predecessor': [
    `update durable.history set previous_commit_no = 9999 where ${THREAD('busy')} and seq = 1`,
    `update durable.history set previous_commit_no = 9999 where ${THREAD('busy')} and seq = 0`,
    `delete from durable.history where ${THREAD('revived')} and seq = 0`,
    `update durable.history set seq = 9 where ${THREAD('busy')} and seq = 2`,
  ],
  'I2 an operation is opened twice': [
    `update durable.history set opened_from = 2, opened_count = 1 where ${THREAD('busy')} and seq = 2`,
  ],
  'I2 an operation is resolved twice': [
    `update durable.history set resolved = 0 where ${THREAD('busy')} and seq = 2`,
    `update durable.history set resolved = 1, resolved_more = '{0}' where ${THREAD('busy')} and seq = 2`,
  ],
  'I3 resolved before it was opened': [
    `update durable.history set resolved = 7 where ${THREAD('busy')} and seq = 2`,
    `update durable.history set opened_from = 3, opened_count = 1, resolved = 3 where ${THREAD('busy')} and seq = 2`,
  ],
  'I4 an entry follows the closing one, or an epoch goes back': [
    `insert into durable.history (thread_no, commit_no, previous_commit_no, at, seq, worker_no, epoch, closes, body)
     select thread_no, 9999, commit_no, at, 1, worker_no, epoch, false, '' from durable.history where ${THREAD('finished')}`,
    `update durable.history set epoch = 0 where ${THREAD('busy')} and seq = 2`,
  ],
  'I4 a thread is done without a closing entry, or closed and not done': [
    `update durable.history set closes = false where ${THREAD('finished')}`,
    `update durable.history set closes = true where ${THREAD('busy')} and seq = 2`,
  ],
  'I5 continued without a next run, or runs without their first': [
    `update durable.execution set state = 'completed' where ${EXECUTION('chain')}`,
    `update durable.execution set state = 'continued' where ${EXECUTION('finished')}`,
    `update durable.execution set closed_at = null where ${EXECUTION('finished')}`,
    `update durable.execution set closed_at = now(), expire_s = 0 where ${EXECUTION('ready')}`,
    `update durable.execution set run = 2 where ${EXECUTION('ready')}`,
  ],
  'I5 execution and main thread disagree': [
    `update durable.execution set state = 'completed', closed_at = now(), expire_s = 0 where ${EXECUTION('ready')}`,
    `delete from durable.history where ${THREAD('finished')}; delete from durable.thread where ${THREAD('finished')}`,
  ],
  'I39 a worker of a scoped role serves what it was not granted': [
    `update durable.worker set scoped = true where worker_key <> 'dead'`,
  ],
  'I39 a worker of a scoped role owns a thread that it does not serve': [
    `insert into durable.worker_role (role_oid, role_name, stream_names, call_names, signals, created_at)
     select 1, session_user, array_agg(task_queue || case kind when 'activity' then '-activity' else '' end), '{}', false, now() from durable.service;
     update durable.worker set scoped = true, services = '{}' where worker_key <> 'dead'`,
  ],
  'I38 a stripped run that no other one needs': [
    `delete from durable.history where ${THREAD('finished')}; delete from durable.thread where ${THREAD('finished')};
     update durable.execution set state = 'pruned' where ${EXECUTION('finished')}`,
  ],
  'I38 a run that has ended and will never be pruned': ['delete from durable.pruning'],
  'I7 a thread is stuck': [
    `update durable.execution set parent_thread = null where ${EXECUTION('kid')}`,
    `update durable.thread set ready_at = null where ${THREAD('ready')}`,
    `update durable.thread set blocked_reason = null where ${THREAD('blocked')}`,
    `update durable.thread set owner = (select worker_no from durable.worker where worker_key = 'dead') where ${THREAD('busy')}`,
    `update durable.thread set owner = 9999 where ${THREAD('busy')}`,
    `update durable.thread set owner = null where ${THREAD('busy')}`,
  ],
  'I7 a parked thread sleeps past its timer': [
    `update durable.thread set ready_at = null where ${THREAD('parked')}`,
    `update durable.thread set ready_at = ready_at + interval '1 hour' where ${THREAD('parked')}`,
  ],
  'I7 a suspect that is never tried': [`update durable.thread set excluded = null where ${THREAD('blocked')}`],
  'I8 a parked thread has mail': [`insert into durable.inbox (thread_no, kind) values (${of('parked')}, 'cancel')`],
  'I9 an open operation is missing from blocked_on': [
    `update durable.thread set blocked_on = '{0}' where ${THREAD('parked')}`,
  ],
  "I10 a commit after the worker's death": [
    `update durable.worker set died_at = died_at - interval '1 hour' where worker_key = 'dead'`,
  ],
  'I17 a task of an operation that is resolved or was never opened': [0, 9].map(
    (op) => `update durable.activity_task set op = ${op} where ${THREAD('busy')}`,
  ),
  'I17 a task that nobody can take': [
    `update durable.activity_task set ready_at = null where ${THREAD('busy')}`,
    `update durable.activity_task set ready_at = now() where ${THREAD('steps')}`,
    `delete from durable.timer where ${THREAD('steps')}; update durable.thread set ready_at = null where ${THREAD('steps')}`,
  ],
  'I19 an activity is past a time limit, or that is looked at too late': [
    `update durable.activity_task set expires_at = null where ${THREAD('limited')}`,
    `update durable.activity_task set expires_at = close_at where ${THREAD('limited')}`,
    `update durable.activity_task set close_at = now() - interval '1 hour', expires_at = now() - interval '1 hour' where ${THREAD('limited')}`,
  ],
  'I19 a timer is overdue or belongs to a closed thread': [
    `update durable.thread set ready_at = now() - interval '1 hour' where ${THREAD('parked')};
     update durable.timer set due_at = now() - interval '1 hour' where ${THREAD('parked')}`,
    `insert into durable.timer (thread_no, op, due_at) values (${of('finished')}, 0, now() + interval '1 hour')`,
  ],
  'I22 a buffered signal beside its waiter': [
    `update durable.signal set signal_id = 'go-parked'`,
    `update durable.signal set signal_id = 'go-parked', chain_no = ${of('parked')}`,
  ],
  'I25 a finished child whose parent never heard': [`delete from durable.inbox where ${THREAD('told')}`],
  'I27 an emitted event without its run, or at a position that was not given': [
    `update durable.emission set run_no = 9999`,
    `update durable.emission_counter set last = 0`,
  ],
  'I31 a terminated chain whose children were left alone': [
    `insert into durable.termination (chain_no, whole, asked_at) values (${of('finished')}, true, now() - interval '1 hour')`,
  ],
  'I31 the children of an open chain are to end': [
    `insert into durable.termination (chain_no, whole, asked_at) values (${of('busy')}, true, now())`,
  ],
  'I33 an open run is not the newest of its id': [
    `update durable.execution set workflow_id = 'ready', run = 1, cause = 'reused' where ${EXECUTION('parked')}`,
  ],
  'I34 a run has outlived its timeout, or has ended and still has one due': [
    `update durable.execution set due_at = now() - interval '1 hour' where ${EXECUTION('ready')}`,
    `update durable.execution set due_at = now() - interval '1 hour' where ${EXECUTION('reserved')}`,
    `update durable.execution set due_at = now() where ${EXECUTION('finished')}`,
    `update durable.execution set due_at = now() + interval '2 hours', chain_due_at = now() + interval '1 hour' where ${EXECUTION('ready')}`,
  ],
  'I35 a child outlives its parent against its policy': [
    `update durable.execution set on_parent_close = 'terminate', parent_chain = ${of('finished')} where ${EXECUTION('ready')}`,
  ],
  'I32 a thread is neither a main one nor a hook, or both': [
    `delete from durable.hook where ${HOOK_OF('busy')}`,
    `update durable.hook set run_no = ${of('ready')} where ${HOOK_OF('busy')}`,
    `insert into durable.hook (thread_no, run_no, hook_no, state, args) values (${of('ready')}, ${of('ready')}, 0, 'open', '[]')`,
  ],
  'I32 a hook and its thread disagree, or it outlives its run': [
    `update durable.hook set state = 'ended' where ${HOOK_OF('busy')}`,
    `update durable.hook set state = 'open' where ${HOOK_OF('asker')}`,
    `update durable.hook set run_no = ${of('finished')} where ${HOOK_OF('busy')};
     update durable.thread set run_no = ${of('finished')} where ${HOOK_OF('busy')}`,
  ],
  'I32 somebody awaits a hook that failed': [
    `update durable.hook set state = 'failed' where ${HOOK_OF('asker')}`,
    `update durable.hook set state = 'ended' where ${HOOK_OF('asker')}`,
  ],
  'I37 a run and its threads do not agree about being paused': [
    `update durable.execution set paused_at = null where ${EXECUTION('paused')}`,
    `update durable.execution set paused_at = now() where ${EXECUTION('ready')}`,
    `update durable.execution set paused_at = now() where ${EXECUTION('finished')}`,
  ],
  'I37 a paused thread may go on, or its owner was not told': [
    `update durable.thread set ready_at = now() where ${THREAD('paused')}`,
    `delete from durable.inbox where ${THREAD('pausing')}`,
    `insert into durable.inbox (thread_no, kind) values (${of('busy')}, 'pause')`,
  ],
  'I36 a copied history differs from what it was copied from': [
    `update durable.history set body = 'other' where thread_no = ${of('gone back', 1)} and seq = 0`,
  ],
  'I28 a row without its thread': [
    `insert into durable.hook (thread_no, run_no, hook_no, state, args) values (9999, 9999, 0, 'open', '[]')`,
    `insert into durable.inbox (thread_no, kind) values (9999, 'cancel')`,
    `insert into durable.timer (thread_no, op, due_at) values (9999, 0, now() + interval '1 hour')`,
    `insert into durable.wait (thread_no, op, chain_no, signal_id) values (9999, 0, 9999, 'x')`,
    `insert into durable.history (thread_no, commit_no, at, seq, worker_no, epoch, closes, body)
     values (9999, 1, now(), 0, 0, 0, false, '')`,
  ],
  'I28 a document without its run': [`insert into durable.document (run_no) values (9999)`],
  'I28 a closed thread left something behind': [
    `insert into durable.inbox (thread_no, kind) values (${of('finished')}, 'cancel')`,
    `insert into durable.wait (thread_no, op, chain_no, signal_id) values (${of('finished')}, 0, 1, 'x')`,
  ],
};

const SOURCE = functions.find(({ name }) => name === 'violations')?.sql ?? '';
const QUERIES = [...SOURCE.matchAll(/^select '((?:[^']|'')+)'/gm)].map(([, name]) => name?.replaceAll("''", "'") ?? '');

onEveryDatabase('violations()', (session) => {
  it('finds nothing in healthy data', async () => {
    await healthyData(session());
    expect(await violations(session())).toEqual([]);
    const [row] = await session().sql(`select count(*)::int as n from durable.violations(0)`);
    expect(row).toEqual({ n: 0 });
  });

  it('has a planting for each of its queries', () => {
    expect(QUERIES.length).toBeGreaterThan(15);
    expect(Object.keys(PLANTED).sort()).toEqual([...QUERIES].sort());
  });

  it.each(Object.entries(PLANTED))('finds: %s', async (name, plantings) => {
    for (const planting of plantings) {
      await session().sql('begin');
      await healthyData(session());
      for (const statement of planting.split(';')) await session().sql(statement);
      const found = await violations(session());
      await session().sql('rollback');
      expect(found.length, planting).toBeGreaterThan(0);
      expect(new Set(found.map((violation) => violation.slice(0, name.length))), planting).toEqual(new Set([name]));
    }
  });
});
