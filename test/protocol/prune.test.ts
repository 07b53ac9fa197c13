/** Runs that have ended go when their time has come: all of them, nothing else, and nothing that others rest on. */

import { beforeEach, expect, it } from 'vitest';
import { describeWorkflow, fetchResults } from '../../src/postgres/protocol/executions.js';
import {
  archive,
  claimOnly,
  complete,
  emit,
  endDue,
  expireOlder,
  hookOf,
  onEveryDatabase,
  openHook,
  pruneAll,
  prunedArchived,
  pruneSome,
  register,
  running,
  search,
  setClock,
  signal,
  start,
  startAll,
  startItem,
  step,
  type Thread,
  takeDue,
  terminate,
  violations,
  type Worker,
} from '../support/protocol.js';
import { SCHEMA, type Session } from '../support/protocol-session.js';

const DAYS_8 = '8 days';
const MINUTES_9 = '9 minutes';
const MINUTES_11 = '11 minutes';

onEveryDatabase('a run that has ended', (current) => {
  let session: Session;
  let worker: Worker;
  beforeEach(async () => {
    session = current();
    worker = await register(session, 'worker', { leaseMs: 20 * 86_400_000 });
  });

  const ended = async (id: string, given: Parameters<typeof running>[3] = {}): Promise<Thread> => {
    const thread = await running(session, worker, id, given);
    await complete(session, thread);
    return thread;
  };
  const ids = async () =>
    (
      await session.sql<{ id: string }>(`select workflow_id || '/' || run as id from ${SCHEMA}.execution order by 1`)
    ).map(({ id }) => id);
  const count = async (table: string): Promise<number> => {
    const [row] = await session.sql<{ n: number }>(`select count(*)::int as n from ${SCHEMA}.${table}`);
    return row?.n ?? -1;
  };
  /** In one step from run to run. */
  const continued = async (id: string, given: Parameters<typeof running>[3] = {}, times = 1): Promise<Thread> => {
    let thread = await running(session, worker, id, given);
    for (let n = 0; n < times; n++) {
      await step(session, thread, { closing: 'continued', result: '[]' });
      thread = await claimOnly(session, worker, id);
    }
    return thread;
  };

  it('goes after seven days, or what `expire` says, and its id is free', async () => {
    await ended('usual');
    await ended('short', { expireS: 3_600 });
    await ended('kept', { expireS: 0 });
    await running(session, worker, 'open', { expireS: 1 });
    expect(await pruneAll(session)).toBe(0);
    await setClock(session, '2 hours');
    expect(await pruneAll(session)).toBe(1);
    expect(await ids()).toEqual(['kept/0', 'open/0', 'usual/0']);
    await setClock(session, DAYS_8);
    expect(await pruneAll(session)).toBe(1);
    expect(await ids()).toEqual(['kept/0', 'open/0']);
    expect(await startAll(session, [startItem('usual'), startItem('kept')])).toMatchObject([
      { status: 'started' },
      { status: 'duplicate' },
    ]);
  });

  it('stays while its start may be sent again, however short it is to be kept', async () => {
    const item = startItem('a', { expireS: 1 });
    await startAll(session, [item]);
    await complete(session, await claimOnly(session, worker, 'a'));
    await setClock(session, MINUTES_9);
    expect(await pruneAll(session)).toBe(0);
    expect(await startAll(session, [item])).toMatchObject([{ status: 'started' }]);
    await setClock(session, MINUTES_11);
    expect(await pruneAll(session)).toBe(1);
    expect(await fetchResults(session, SCHEMA, [1])).toMatchObject([{ state: 'unknown' }]);
    expect(await describeWorkflow(session, SCHEMA, 'a', null)).toBeNull();
  });

  it('goes with all it has: threads, hooks, histories, fields, events, signals kept for it', async () => {
    const thread = await running(session, worker, 'a');
    await step(session, thread, { opens: 2, effects: [search(0, 'set', [{ f: '1' }]), emit('seen')] });
    const hook = await hookOf(session, thread, 'owned');
    await step(session, hook);
    await signal(session, 'early', { workflowId: 'a', expireMs: 30 * 86_400_000 });
    await signal(session, 'for anybody', { expireMs: 30 * 86_400_000 });
    await terminate(session, 'a', { expireS: 1 });
    await setClock(session, MINUTES_11);
    expect(await pruneAll(session)).toBe(1);
    for (const table of ['execution', 'thread', 'hook', 'history', 'document', 'emission', 'pruning', 'inbox', 'wait'])
      expect([table, await count(table)]).toEqual([table, 0]);
    expect(await session.sql(`select signal_id as id from ${SCHEMA}.signal`)).toEqual([{ id: 'for anybody' }]);
    await setClock(session, '0');
    expect(await violations(session)).toEqual([]);
  });

  it('goes in pieces when its history is long: from the end backwards, no longer to be found', async () => {
    const thread = await ended('a');
    await session.sql(
      `insert into ${SCHEMA}.history (thread_no, commit_no, previous_commit_no, at, seq, worker_no, epoch, closes, body)
       select thread_no, 100 + n, case n when 1 then commit_no else 99 + n end, at, n, worker_no, epoch, n = 4500, '{}'
       from ${SCHEMA}.history, generate_series(1, 4500) n where thread_no = $1::bigint`,
      thread.thread_no,
    );
    await session.sql(`update ${SCHEMA}.history set closes = false where seq = 0`);
    expect(await violations(session)).toEqual([]);
    await setClock(session, DAYS_8);
    expect(await pruneSome(session)).toEqual({ pruned: 1, more: true });
    expect(await ids()).toEqual([]);
    expect(await startAll(session, [startItem('a')])).toMatchObject([{ status: 'started' }]);
    expect(await count('history')).toBe(2_501);
    const page = await session.sql<{ seq: number; closes: boolean }>(
      `select seq, closes from ${SCHEMA}.load_history($1::bigint, 2000)`,
      thread.thread_no,
    );
    expect([page.at(-1)?.seq, page.at(-1)?.closes]).toEqual([2_500, false]);
    expect(await violations(session)).toEqual([]);
    expect(await pruneSome(session)).toEqual({ pruned: 0, more: true });
    expect(await count('history')).toBe(501);
    expect(await pruneSome(session)).toEqual({ pruned: 0, more: false });
    expect([await count('history'), await count('pruning')]).toEqual([0, 0]);
  });

  it('with many events goes in pieces too, and is found until the last of them went', async () => {
    const thread = await running(session, worker, 'a', { expireS: 0 });
    await step(session, thread, { effects: [emit('seen')] });
    await terminate(session, 'a', { expireS: 1 });
    await session.sql(
      `insert into ${SCHEMA}.emission (emission_no, chain_no, run_no, emitted_at, topic)
       select 1 + n, chain_no, run_no, emitted_at, topic from ${SCHEMA}.emission, generate_series(1, 6000) n`,
    );
    await session.sql(`update ${SCHEMA}.emission_counter set last = 6001`);
    await setClock(session, MINUTES_11);
    expect(await pruneSome(session)).toEqual({ pruned: 0, more: true });
    expect(await ids()).toEqual(['a/0']);
    expect(await pruneSome(session)).toEqual({ pruned: 1, more: false });
    expect([await count('emission'), await count('execution')]).toEqual([0, 0]);
  });

  it('leaves behind what its open workflow rests on: the id is taken, the handle finds it', async () => {
    const last = await continued('a', { expireS: 60 }, 3);
    await setClock(session, MINUTES_11);
    expect(await pruneAll(session)).toBe(3);
    expect(await ids()).toEqual(['a/0', 'a/3']);
    expect([await count('thread'), await count('history')]).toEqual([1, 0]);
    expect(await violations(session)).toEqual([]);
    expect(await startAll(session, [startItem('a')])).toMatchObject([{ status: 'duplicate' }]);
    await complete(session, last);
    expect(await fetchResults(session, SCHEMA, [last.chain_no])).toMatchObject([{ state: 'completed' }]);
    await setClock(session, '22 minutes');
    expect(await pruneAll(session)).toBe(1);
    expect(await ids()).toEqual([]);
    expect(await fetchResults(session, SCHEMA, [last.chain_no])).toMatchObject([{ state: 'unknown' }]);
  });

  it('keeps its id taken while a later workflow has it, and no longer', async () => {
    const first = await ended('a');
    await ended('b');
    const terms = JSON.stringify({ reuse: 'ALLOW_DUPLICATE' });
    await startAll(session, [startItem('a', { terms, expireS: 0 })]);
    const second = await claimOnly(session, worker, 'a');
    const reserves = JSON.stringify({ reuse: 'ALLOW_DUPLICATE', pendingMs: 9 * 86_400_000 });
    await startAll(session, [startItem('b', { terms: reserves })]);
    await setClock(session, DAYS_8);
    expect(await pruneAll(session)).toBe(2);
    expect(await ids()).toEqual(['a/0', 'a/1', 'b/0', 'b/1']);
    expect(await fetchResults(session, SCHEMA, [first.chain_no])).toMatchObject([{ state: 'unknown' }]);
    expect(await violations(session)).toEqual([]);
    await terminate(session, 'a', { expireS: 60 });
    await endDue(session);
    expect(await ids()).toEqual(['a/0', 'a/1', 'b/0', 'b/1']);
    await setClock(session, '10 days');
    await endDue(session);
    await pruneAll(session);
    expect(await ids()).toEqual([]);
    expect(await fetchResults(session, SCHEMA, [second.chain_no])).toMatchObject([{ state: 'unknown' }]);
  });

  it('goes together with the runs that led to it when it was terminated to be kept for less', async () => {
    await continued('a', {}, 2);
    await terminate(session, 'a', { expireS: 60 });
    expect(await violations(session)).toEqual([]);
    await setClock(session, MINUTES_11);
    expect(await pruneAll(session)).toBe(3);
    expect(await ids()).toEqual([]);
    await setClock(session, DAYS_8);
    await pruneAll(session);
    expect(await count('pruning')).toBe(0);
  });

  it('never goes before the runs that led to it: whoever asks is not told the outcome of an earlier one', async () => {
    await continued('a', {}, 1);
    await terminate(session, 'a');
    await session.sql(`update ${SCHEMA}.pruning set due_at = clock_timestamp() where 1 = any(runs) is not true`);
    const [row] = await session.sql<{ n: number }>(
      `select count(*)::int as n from ${SCHEMA}.pruning where due_at <= clock_timestamp()`,
    );
    expect(row).toEqual({ n: 1 });
    expect(await pruneSome(session)).toEqual({ pruned: 0, more: false });
    expect(await ids()).toEqual(['a/0', 'a/1']);
    await setClock(session, DAYS_8);
    expect(await pruneAll(session)).toBe(2);
    expect(await ids()).toEqual([]);
  });

  it('does not take open children along, nor does a child its parent', async () => {
    const parent = await running(session, worker, 'parent');
    await step(session, parent, { opens: 1, effects: openHook(0, null, { awaits: 'answer' }) });
    await complete(session, parent);
    await setClock(session, DAYS_8);
    await start(session, 'child', { parentWorkflowId: 'parent' });
    expect(await pruneAll(session)).toBe(1);
    expect(await ids()).toEqual(['child/0']);
    expect(await violations(session)).toEqual([]);
    await complete(session, await claimOnly(session, worker, 'child'));
  });

  it('is given out to be archived where runs are archived, and goes when that is done', async () => {
    await archive(session, true);
    await ended('a', { args: '["x"]', search: '{"f":"1"}' });
    await ended('b');
    await ended('c');
    await setClock(session, DAYS_8);
    expect(await pruneSome(session)).toEqual({ pruned: 0, more: false });
    const due = await takeDue(session, 2);
    expect(due).toMatchObject([
      { workflow_id: 'a', run: 0, state: 'completed', args: '["x"]', result: '"done"', search: '{"f": "1"}' },
      { workflow_id: 'b' },
    ]);
    expect(JSON.parse(due[0]?.threads ?? '')).toEqual([due[0]?.run_no]);
    expect(await takeDue(session)).toMatchObject([{ workflow_id: 'c' }]);
    expect(await takeDue(session)).toEqual([]);
    expect(await prunedArchived(session, [due[0]?.run_no ?? 0])).toBe(1);
    expect(await ids()).toEqual(['b/0', 'c/0']);
    expect(await violations(session)).toEqual([]);
    await setClock(session, '9 days');
    expect(await takeDue(session)).toMatchObject([{ workflow_id: 'b' }, { workflow_id: 'c' }]);
    await archive(session, false);
    await setClock(session, '10 days');
    expect(await pruneAll(session)).toBe(2);
    expect(await count('pruning')).toBe(0);
  });

  it('goes early when an administrator says so, kept for ever or not', async () => {
    await ended('a');
    await ended('b', { expireS: 0 });
    await running(session, worker, 'open');
    await setClock(session, '1 day');
    expect(await expireOlder(session, 86_400 * 2)).toMatchObject({ ended: 0 });
    expect(await expireOlder(session, 3_600, true)).toMatchObject({ ended: 2 });
    expect(await pruneAll(session)).toBe(0);
    expect(await expireOlder(session, 3_600)).toMatchObject({ ended: 2 });
    expect(await pruneAll(session)).toBe(2);
    expect(await ids()).toEqual(['open/0']);
    await setClock(session, DAYS_8);
    await pruneAll(session);
    expect(await count('pruning')).toBe(0);
  });

  it('of ten minutes ago at most goes early: its calls may be sent again', async () => {
    await ended('a');
    await setClock(session, MINUTES_9);
    expect(await expireOlder(session, 0)).toMatchObject({ ended: 0 });
  });
});
