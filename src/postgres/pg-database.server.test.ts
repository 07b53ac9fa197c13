/** Needs a server. */
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { createDatabase, type TestDatabase } from '../../test/support/database.js';
import { openDatabase } from './connection.js';
import type { Database, Lane } from './database.js';

const hasServer = (inject('cluster') as unknown) !== undefined;
const six = [1, 2, 3, 4, 5, 6];

describe.skipIf(!hasServer)('of a Pool', () => {
  let test: TestDatabase;
  let pool: pg.Pool;
  let database: Database;
  let lanes: Lane[];

  beforeEach(async () => {
    test = await createDatabase();
  });
  afterEach(async () => {
    await database.release();
    // The pool says it has ended before its sockets have, and dropping the database ends their backends.
    pool.on('error', () => {});
    await pool.end();
    await test.drop();
  });

  function open(max: number) {
    pool = new pg.Pool({ connectionString: test.url, max });
    database = openDatabase({ class: pool });
    lanes = six.map((n) => database.lane(`lane ${n}`));
  }
  const onAll = (text: string) => Promise.all(lanes.map((lane) => lane.query({ text, values: [] })));

  it.each([
    { max: 1, held: 0, listens: false },
    { max: 2, held: 1, listens: false },
    { max: 3, held: 2, listens: true },
    { max: 5, held: 4, listens: true },
  ])('$max clients, $held are held and one is left for the user', async ({ max, held, listens }) => {
    open(max);
    const heard: string[] = [];
    const listener = await database.listen(
      'perdure_x',
      (payload) => heard.push(payload),
      () => heard.push('*'),
    );
    expect(listener !== null).toBe(listens);
    if (listens) await vi.waitFor(() => expect(heard).toEqual(['*']), { timeout: 20_000 });

    await onAll('select pg_sleep(0.01)');
    expect(pool.totalCount).toBe(held);
    await pool.query("select pg_notify('perdure_x', 'q1')");
    if (listens) await vi.waitFor(() => expect(heard).toEqual(['*', 'q1']), { timeout: 20_000 });
  });

  it('the lanes and the listener come back when all backends were ended', async () => {
    open(4);
    const heard: string[] = [];
    await database.listen(
      'perdure_x',
      (payload) => heard.push(payload),
      () => heard.push('*'),
    );
    await vi.waitFor(() => expect(heard).toEqual(['*']), { timeout: 20_000 });
    await onAll('select 1');
    await pool.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    await onAll('select 1');
    await vi.waitFor(() => expect(heard).toEqual(['*', '*']), { timeout: 20_000 });
    await pool.query("select pg_notify('perdure_x', 'q1')");
    await vi.waitFor(() => expect(heard).toEqual(['*', '*', 'q1']), { timeout: 20_000 });
  });

  it('an idle client that breaks does not end the process', async () => {
    open(3);
    await onAll('select 1');
    await pool.query('select 1');
    expect(pool.idleCount).toBe(1);
    await lanes[0]!.query({
      text: 'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      values: [],
    });
    await vi.waitFor(() => expect(pool.idleCount).toBe(0), { timeout: 20_000 });
  });

  it('no client with our settings is given back to the user', async () => {
    open(3);
    await onAll('select 1');
    await database.release();
    database = openDatabase({ class: pool });
    expect(pool.totalCount).toBe(0);
  });

  it('a lane waits while the user has all clients, and takes the first that comes back', async () => {
    open(2);
    const clients = [await pool.connect(), await pool.connect()];
    const query = lanes[0]!.query({ text: 'select 1 as n', values: [] }, { deadlineMs: 300 });
    setTimeout(() => clients[0]!.release(), 800);
    expect(await query).toEqual([{ n: 1 }]);
    clients[1]!.release();
  });

  it('nothing is taken once the user ended it', async () => {
    open(3);
    await Promise.all([pool.end(), expect(onAll('select 1')).rejects.toThrow('the Pool of this connection was ended')]);
    pool = new pg.Pool();
  });

  it('that we made from the class, everything is ended with the last user', async () => {
    open(1);
    const ours = openDatabase({ class: pg.Pool, options: { connectionString: test.url, max: 4 } });
    expect(await ours.lane('x').query({ text: 'select 1 as n', values: [] })).toEqual([{ n: 1 }]);
    await ours.release();
    const left = "select from pg_stat_activity where datname = current_database() and application_name = 'perdure x'";
    await vi.waitFor(async () => expect((await pool.query(left)).rowCount).toBe(0), { timeout: 20_000 });
  });
});

describe.skipIf(!hasServer)('behind a pooler in transaction mode', () => {
  it('nothing is set, prepared or listened to', async () => {
    const test = await createDatabase();
    const database = openDatabase({ class: pg.Client, options: { connectionString: test.url }, pooler: 'transaction' });
    const lane = database.lane('test');
    await lane.query({ text: 'select $1::int', name: 'hot', values: [1] });
    const text =
      "select current_setting('statement_timeout') as setting, (select count(*)::int from pg_prepared_statements) as prepared";
    await lane.query({ text: 'set statement_timeout to 12345', values: [] });
    expect(await lane.query({ text, values: [] })).toEqual([{ setting: '12345ms', prepared: 0 }]);
    expect(
      await database.listen(
        'perdure_x',
        () => {},
        () => {},
      ),
    ).toBeNull();
    await database.release();
    await test.drop();
  });
});
