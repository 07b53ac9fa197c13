/**
 * S17, and what a login can do with its own session beside calling functions: have plans printed, hold on to a transaction, leave settings
 * behind, prepare a transaction that outlives it. The roles are real ones; what they may call is what their kind may.
 */

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { provisionWorkerRole, revokeWorkerRole, rotateWorkerPassword } from '../../src/index.js';
import { type Attacker, createAttacker } from '../support/attacker.js';
import { createMigratedDatabase, type TestDatabase } from '../support/database.js';
import {
  claimOnly,
  commitOne,
  entry,
  keepHouse,
  register,
  running,
  setClock,
  signal,
  start,
  step,
  type Thread,
  wait,
} from '../support/protocol.js';
import { openSession, SCHEMA, type Session } from '../support/protocol-session.js';

const SECRET = 'sesame-4711';
/** Those of the thief's queue, and of everybody else's. */
const THIEVES = [{ kind: 'workflow', taskQueue: 'thief', name: 'thief' }] as const;
const OTHERS = [{ kind: 'workflow', taskQueue: 'other', name: 'other' }] as const;

let database: TestDatabase;
let own: Session;
let admin: pg.Client;
let observer: Attacker;
let credentials: { roleName: string; password: string };
const sessions: Session[] = [];

const connection = () => ({ class: pg.Client, options: { connectionString: database.url } });
const provision = () => provisionWorkerRole({ connection: connection(), streamNames: ['thief', 'thief-activity'] });

beforeAll(async () => {
  database = await createMigratedDatabase();
  own = await openSession(database.url);
  own.patient = true;
  admin = new pg.Client(database.url);
  await admin.connect();
  observer = await createAttacker(database, admin, 'nothing');
  await admin.query(`select ${SCHEMA}.grant_access($1, 'observer')`, [observer.name]);
  credentials = await provision();
});

afterAll(async () => {
  for (const session of sessions) await session.close().catch(() => {});
  await observer.drop();
  await own.close();
  await admin.query(`drop owned by ${credentials.roleName}; drop role ${credentials.roleName}`);
  await admin.end();
  await database.drop();
});

/** A session of the worker role. */
async function thief(): Promise<Session> {
  const url = Object.assign(new URL(database.url), { username: credentials.roleName, password: credentials.password });
  const session = await openSession(url.href);
  sessions.push(session);
  await session.script('set idle_in_transaction_session_timeout to 0; set statement_timeout to 0');
  return session;
}

/** A thread that the session's worker owns. */
async function threadOf(session: Session, workflowId: string): Promise<Thread> {
  const worker = await register(session, workflowId, { services: THIEVES });
  await start(own, workflowId, { taskQueue: 'thief', workflowName: 'thief' });
  return await claimOnly(session, worker, workflowId);
}

/** Holds a signal id, which others want to send under, to the end of a transaction. */
async function holdTheId(session: Session, signalId: string): Promise<void> {
  const thread = await threadOf(session, `holds ${signalId}`);
  await session.script('begin');
  const taken = await commitOne(session, thread, entry(thread, { opens: 1, effects: [wait(0, signalId)] }));
  expect(taken.status).not.toBe('fenced');
}

async function pidOf(session: Session): Promise<number> {
  const [row] = await session.sql<{ pid: number }>('select pg_backend_pid() as pid');
  return row?.pid ?? 0;
}

const isThere = async (pid: number) =>
  (await admin.query('select from pg_stat_activity where pid = $1', [pid])).rowCount === 1;

describe('plans that a caller has printed to itself', () => {
  /** As a plan shows them; its lines end anywhere, in the middle of a number too. */
  const bytes = [...Buffer.from(SECRET)].join('');

  /** Whether a session is told the secret while it calls something, with plans printed to it. */
  async function isTold(client: pg.Client, statement: string): Promise<boolean> {
    const told: string[] = [];
    client.on('notice', ({ message, detail }) => void told.push(`${message} ${detail}`.replace(/\s+/g, '')));
    await client.query(`set client_min_messages to log; set plan_cache_mode to force_custom_plan;
      set debug_print_plan to on; set debug_print_parse to on; set debug_print_rewritten to on`);
    await client.query(statement);
    expect(told.length).toBeGreaterThan(0); // of its own statement at least
    return told.some((text) => text.includes(bytes));
  }

  it('hold no arguments of others: an observer who has a workflow explained', async () => {
    const worker = await register(own, 'explained', { services: OTHERS });
    const thread = await running(own, worker, 'explained', { taskQueue: 'other', workflowName: 'other' });
    const command = ['activity', 'charge', 1, 0, { args: [SECRET] }];
    await step(own, thread, { opens: 1, body: JSON.stringify([[0, ['start'], command]]) });
    const explain = `select ${SCHEMA}.explain('explained')`;
    expect(await isTold(await observer.connect(), explain)).toBe(false);
    // Without what keeps them from being printed, they are.
    await admin.query(`begin; do $$ declare v_name text; begin
      for v_name in select oid::regprocedure::text from pg_proc where pronamespace = '${SCHEMA}'::regnamespace loop
        execute format('alter function %s reset debug_print_plan', v_name);
      end loop; end $$`);
    const careless = await isTold(admin, explain).finally(() => admin.query('rollback; reset all'));
    expect(careless).toBe(true);
  });

  it('hold no signal of others: a worker role that keeps house', async () => {
    const worker = await register(own, 'waits', { services: OTHERS });
    const thread = await running(own, worker, 'waits', { taskQueue: 'other', workflowName: 'other' });
    await step(own, thread, { opens: 1, effects: [wait(0, 'go')] });
    await own.sql(`insert into ${SCHEMA}.signal (signal_id, payload, returned, expires_at)
      values ('go', '"${SECRET}"', true, now() + interval '1 hour')`);
    const client = new pg.Client(
      Object.assign(new URL(database.url), { username: credentials.roleName, password: 'any' }).href,
    );
    await client.connect();
    expect(await isTold(client, `select ${SCHEMA}.tidy()`)).toBe(false);
    await client.end();
    expect(await own.sql(`select kind from ${SCHEMA}.inbox`)).toEqual([{ kind: 'signal' }]); // it went through its hands
  });

  it('are printed by no function that is not planned once for all callers', async () => {
    const { rows } = await admin.query(
      `select p.proname from pg_proc p where p.pronamespace = '${SCHEMA}'::regnamespace and p.prosecdef
         and not p.proconfig && '{plan_cache_mode=force_generic_plan,debug_print_plan=off}'`,
    );
    expect(rows).toEqual([]);
  });
});

describe('S17: a session of a worker role that holds on to its transaction', () => {
  it('is ended, whatever it did to its timeouts, and others go on', async () => {
    const session = await thief();
    await holdTheId(session, 'shared');
    own.patient = false;
    await expect(signal(own, 'shared')).rejects.toMatchObject({ code: '55P03' });
    await keepHouse(own); // nobody is ended so soon
    await expect(signal(own, 'shared')).rejects.toMatchObject({ code: '55P03' });
    await setClock(own, '31 s');
    await keepHouse(own);
    own.patient = true;
    await signal(own, 'shared');
    await expect(session.sql('select 1')).rejects.toThrow();
    await setClock(own, '0 s');
  });

  it('is left alone for an hour while it holds nothing of ours: its activities may write for long', async () => {
    const [long, fresh] = [await thief(), await thief()];
    await long.script(`begin; listen perdure_durable; create temp table mine (x int)`);
    const pid = await pidOf(long);
    const stranger = await observer.connect(); // no worker role
    await stranger.query(`begin; select ${SCHEMA}.explain('explained')`);
    await setClock(own, '59 min');
    await keepHouse(own);
    expect(await isThere(pid)).toBe(true);
    await setClock(own, '61 min');
    await keepHouse(own);
    await expect(long.sql('select 1')).rejects.toThrow();
    expect(await fresh.sql('select 1 as n')).toEqual([{ n: 1 }]);
    expect((await stranger.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
    await stranger.query('rollback');
    await setClock(own, '0 s');
  });

  it('keeps what it claimed for an hour at most, without renewing', async () => {
    const session = await thief();
    const { worker } = await threadOf(session, 'claimed');
    await session.sql(`select ${SCHEMA}.renew_lease($1, 2147483647)`, worker.no);
    const [row] = await own.sql<{ far: boolean }>(
      `select lease_until > now() + interval '61 min' as far from ${SCHEMA}.worker where worker_no = $1`,
      worker.no,
    );
    expect(row).toEqual({ far: false });
  });

  it('leaves nothing behind when it is revoked, not even a transaction that it prepared', async (context) => {
    const [setting] = await own.sql<{ most: number }>(
      `select current_setting('max_prepared_transactions')::int as most`,
    );
    if (setting?.most === 0) return context.skip();
    const session = await thief();
    const thread = await threadOf(session, 'prepares');
    await session.script('begin');
    await commitOne(session, thread, entry(thread, { effects: [wait(0, 'held')], opens: 1 }));
    await session.script(`prepare transaction 'it''s held'`);
    await revokeWorkerRole({ connection: connection(), roleName: credentials.roleName });
    expect(await own.sql('select gid from pg_prepared_xacts where database = current_database()')).toEqual([]);
    expect(await own.sql(`select state from ${SCHEMA}.thread where thread_no = $1`, thread.thread_no)).toEqual([
      { state: 'ready' },
    ]);
    credentials = await provision();
  });
});

describe('what a worker role may do to itself', () => {
  it('is undone when it is provisioned again: its settings, and the password that it gave itself', async () => {
    const { roleName } = credentials;
    const verifier = async () =>
      (await admin.query(`select rolpassword from pg_authid where rolname = $1`, [roleName])).rows[0].rolpassword;
    const session = await thief();
    const given = await rotateWorkerPassword({ connection: connection(), roleName });
    const rotated = await verifier();
    // Postgres lets every role do these. So a rotated password helps against a session that is open as little as no password.
    await session.script(`alter role current_user password 'the thief knows it';
      alter role current_user set search_path to evil;
      alter role current_user in database ${database.name} set default_transaction_read_only to on;
      alter role current_user set idle_in_transaction_session_timeout to 0`);
    expect(await verifier()).not.toBe(rotated);
    await revokeWorkerRole({ connection: connection(), roleName });
    credentials = await provision();
    expect(credentials.roleName).toBe(roleName);
    expect(credentials.password).not.toBe(given.password);
    const { rows } = await admin.query<{ setconfig: string[] }>(
      `select setconfig from pg_db_role_setting where setrole = $1::regrole`,
      [roleName],
    );
    expect(rows).toEqual([{ setconfig: ['idle_in_transaction_session_timeout=30s'] }]);
    for (const wrong of ['connection limit -1', 'createrole', 'superuser', "valid until 'infinity'", 'rename to other'])
      await expect(
        (await thief()).script(`alter role ${wrong.startsWith('rename') ? roleName : 'current_user'} ${wrong}`),
      ).rejects.toThrow();
  });
});
