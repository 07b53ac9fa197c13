/**
 * What is asked again and again reads what is due, not what waits: with thousands of timers, limits, notes, signals and
 * events in the tables whose time has not come, a call fetches hardly any row.
 *
 * A bound of a range that calls clock(), which is volatile, is no bound of an index: every row would be looked at.
 */

import { expect, it } from 'vitest';
import {
  claim,
  empty,
  onServer,
  QUEUE,
  register,
  running,
  start,
  takeTasks,
  type Worker,
} from '../support/protocol.js';
import { SCHEMA, type Session } from '../support/protocol-session.js';

const MANY = 2_000;
const LATER = `clock_timestamp() + interval '1 day' + n * interval '1 s'`;

onServer('housekeeping', (current) => {
  let session: Session;
  let worker: Worker;

  async function fill(): Promise<void> {
    session = current();
    worker = await register(session);
    await running(session, worker, 'one');
    await start(session, 'other');
    const n = `generate_series(1000001, ${1_000_000 + MANY}) n`;
    const from = (table: string) => `${SCHEMA}.${table}`;
    const service = `(select min(service_no) from ${from('service')} where kind = 'workflow')`;
    const activities = `(select min(service_no) from ${from('service')} where kind = 'activity')`;
    for (const insert of [
      `${from('execution')} (run_no, chain_no, request_no, run, service_no, created_at, due_at, signal_in, cancel_requested, workflow_id, state, cause, args)
       select n, n, n, 0, ${service}, clock_timestamp(), ${LATER}, true, false, 'later-' || n, 'open', 'start', '[]' from ${n}`,
      `${from('thread')} (thread_no, run_no, service_no, epoch, state, ready_at) select n, n, ${service}, 1, 'parked', ${LATER} from ${n}`,
      `${from('activity_task')} (thread_no, op, service_no, epoch, attempt, losses, name, input, ready_at, expires_at)
       select n, 0, ${activities}, 0, 1, 0, 'later', '{}', ${LATER}, ${LATER} from ${n}`,
      `${from('pruning')} (due_at, runs) select ${LATER}, array[n] from ${n}`,
      `${from('signal')} (expires_at, returned, signal_id) select ${LATER}, false, 'later-' || n from ${n}`,
      `${from('emission')} (emission_no, chain_no, run_no, emitted_at, expires_at, topic)
       select n, n, n, clock_timestamp(), ${LATER}, 'later' from ${n}`,
    ])
      await session.sql(`insert into ${insert}`);
  }

  /** How many rows this session has fetched and not told the statistics of yet, over indexes or without. */
  async function fetched(): Promise<number> {
    const [row] = await session.sql<{ n: string }>(
      `select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) as n from pg_stat_xact_user_tables where schemaname = $1`,
      SCHEMA,
    );
    return Number(row?.n);
  }

  async function fetchedBy(call: () => Promise<unknown>): Promise<number> {
    await session.sql('begin');
    const before = await fetched();
    await call();
    const count = (await fetched()) - before;
    await session.sql('rollback');
    return count;
  }

  it('fetches hardly any row while nothing is due', async () => {
    await fill();
    const asked = (text: string) => () => session.sql(`select * from ${SCHEMA}.${text}`);
    const calls = {
      reap: asked('reap(1)'),
      tidy: asked('tidy()'),
      prune: asked('prune()'),
      take_due_runs: asked('take_due_runs(10, 60)'),
      expire_runs: asked('expire_runs()'),
      expire_tasks: asked('expire_tasks()'),
      unserved: asked('unserved(1)'),
      backlog: asked(`backlog('${QUEUE}', 1000)`),
      owned: asked('owned(1, 1000)'),
      mail: asked(`mail(1, '{}')`),
      claim: () => claim(session, worker),
      claim_tasks: () => takeTasks(session, worker),
    };
    const rows: Record<string, number> = {};
    for (const [name, call] of Object.entries(calls)) rows[name] = await fetchedBy(call);
    await empty(session); // what was put there stands for nothing
    const many = Object.entries(rows).filter(([, count]) => count >= 100);
    expect(Object.fromEntries(many)).toEqual({});
    expect(rows.claim).toBeGreaterThan(0);
  });
});
