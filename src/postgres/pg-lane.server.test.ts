/** Needs a server. Faults are real: ended backends, cut and silent connections, a stopped server, a missing replica. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { createDatabase, type TestDatabase } from '../../test/support/database.js';
import { startPrivateCluster } from '../../test/support/private-cluster.js';
import { startProxy } from '../../test/support/proxy.js';
import { openDatabase } from './connection.js';
import type { Database, Lane } from './database.js';

const hasServer = (inject('cluster') as unknown) !== undefined;

describe.skipIf(!hasServer)('a lane', () => {
  let test: TestDatabase;
  let admin: pg.Client;
  let database: Database;
  let lane: Lane;
  const warn = vi.fn();

  beforeEach(async () => {
    test = await createDatabase();
    ({ database, lane } = open(test.url));
    admin = await connect(test.url);
    await admin.query('create table effect (id int primary key)');
  });
  afterEach(async () => {
    await database.release();
    await admin.end();
    await test.drop();
  });

  function open(url: string) {
    const opened = openDatabase(
      { class: pg.Client, options: { connectionString: url } },
      { logger: { info() {}, warn } },
    );
    return { database: opened, lane: opened.lane('test') };
  }
  const run = (text: string) => lane.query({ text, values: [] });
  const insert = (id: number) =>
    lane.query(
      { text: 'insert into effect values ($1::int) on conflict do nothing', values: [id] },
      { deadlineMs: 1_000 },
    );
  const effects = async () => (await admin.query<{ n: string }>('select count(*) as n from effect')).rows[0]?.n;
  const backend = async () => (await run('select pg_backend_pid() as pid'))[0]?.pid;

  it('works in READ COMMITTED, whatever the role or database says', async () => {
    await admin.query(`alter database ${test.name} set default_transaction_isolation to serializable`);
    await admin.query(`alter database ${test.name} set statement_timeout to 1`);
    const settings = await run(
      "select current_setting('transaction_isolation') as level, current_setting('application_name') as name, pg_sleep(0.01)",
    );
    expect(settings).toMatchObject([{ level: 'read committed', name: 'perdure test' }]);
  });

  it('connects again when its backend was ended while it was idle', async () => {
    const pid = await backend();
    await admin.query('select pg_terminate_backend($1)', [pid]);
    expect(await backend()).not.toBe(pid);
  });

  it('sends a query again when its backend is ended under it', async () => {
    const pid = await backend();
    const query = run('select pg_sleep(0.3), 7 as n');
    await sleep(100);
    await admin.query('select pg_terminate_backend($1)', [pid]);
    expect(await query).toMatchObject([{ n: 7 }]);
  });

  it('sends a cancelled query again on the same connection', async () => {
    const pid = await backend();
    const query = run('select pg_sleep(0.3), pg_backend_pid() as pid');
    await sleep(100);
    await admin.query('select pg_cancel_backend($1)', [pid]);
    expect(await query).toMatchObject([{ pid }]);
  });

  it('leaves a query without an answer at its deadline, and the server ends it', async () => {
    await admin.query('begin; lock table effect');
    const query = insert(1);
    await sleep(1_500);
    await admin.query('commit');
    await query;
    expect(await effects()).toBe('1');
    const left =
      "select count(*)::int as n from pg_stat_activity where datname = current_database() and state = 'active' and query like 'select pg_sleep(60)%'";
    await expect(
      lane.query({ text: 'select pg_sleep(60)', values: [] }, { deadlineMs: 100, giveUpAfterMs: 150 }),
    ).rejects.toThrow();
    await vi.waitFor(async () => expect((await admin.query(left)).rows).toEqual([{ n: 0 }]), { timeout: 20_000 });
  });

  it('frees a caller that aborts at once, and the next query has its own answer', async () => {
    const aborted = new AbortController();
    const query = lane.query({ text: 'select pg_sleep(0.3), 1 as n', values: [] }, { signal: aborted.signal });
    setTimeout(() => aborted.abort(new Error('left')), 50);
    await expect(query).rejects.toThrow('left');
    expect(await run('select 2 as n')).toEqual([{ n: 2 }]);
  });

  it('tells of a missing right by name', async () => {
    const denied = `do $$ begin raise 'permission denied for x' using errcode = '42501'; end $$`;
    await expect(run(denied)).rejects.toMatchObject({ name: 'PermissionError', message: 'permission denied for x' });
    await expect(lane.script(denied)).rejects.toMatchObject({ name: 'PermissionError', cause: { code: '42501' } });
  });

  it('leaves errors of the statement to the caller, with the SQLSTATE', async () => {
    await expect(run('select 1 / 0')).rejects.toMatchObject({ name: 'SqlError', code: '22012' });
    await expect(run("do $$ begin raise 'no' using errcode = 'PD002', hint = 'h'; end $$")).rejects.toMatchObject({
      code: 'PD002',
      message: 'no',
      hint: 'h',
    });
  });

  it('sends a query again at which the server itself failed, some times', async () => {
    await admin.query('create sequence tries');
    const failsUntil = (times: number) =>
      `do $$ begin if nextval('tries') < ${times} then raise 'corrupt' using errcode = 'XX001'; end if; end $$`;
    await run(failsUntil(4));
    await expect(run(failsUntil(1_000))).rejects.toMatchObject({ name: 'SqlError', code: 'XX001' });
    expect((await admin.query('select last_value from tries')).rows[0]?.last_value).toBe('10');
  });

  it('has each effect once, however connections are cut', async () => {
    const proxy = await startProxy(test.url);
    await database.release();
    ({ database, lane } = open(proxy.url(test.url)));
    const moments = ['before-forward', 'after-forward', 'at-answer'] as const;
    for (let id = 0; id < 30; id++) {
      const cut = proxy.cutNextQuery(moments[id % 3]!, 'insert into effect');
      await Promise.all([insert(id), cut]);
    }
    expect(await effects()).toBe('30');
  });

  it('finds a new connection when the old one swallows everything', async () => {
    const proxy = await startProxy(test.url);
    await database.release();
    ({ database, lane } = open(proxy.url(test.url)));
    await insert(1);
    proxy.blackHole(true);
    const query = insert(2);
    await sleep(1_200);
    proxy.blackHole(false);
    await query;
    expect(await effects()).toBe('2');
  });

  it('goes on without statement names once a pooler got in their way', async () => {
    const query = { text: 'select $1::int as n', name: 'hot', values: [3] };
    await lane.query(query);
    await run('deallocate all');
    warn.mockClear();
    expect(await lane.query(query)).toEqual([{ n: 3 }]);
    expect(await lane.query(query)).toEqual([{ n: 3 }]);
    expect(warn).toHaveBeenCalledOnce();
  });

  it('prepares anew when the result of a prepared call has another type', async () => {
    await admin.query('create function answer(out a int) language sql as $$ select 1 $$');
    const query = { text: 'select * from answer()', name: 'answer', values: [] };
    expect(await lane.query(query)).toEqual([{ a: 1 }]);
    await admin.query('drop function answer; create function answer(out b text) language sql as $$ select 2 $$');
    expect(await lane.query(query)).toEqual([{ b: '2' }]);
  });

  it('runs a script whole or not at all, and works on after it failed', async () => {
    await expect(lane.script('insert into effect values (1); select 1 / 0')).rejects.toMatchObject({ code: '22012' });
    expect(await effects()).toBe('0');
    await lane.script('insert into effect values (1); insert into effect values (2)');
    expect(await effects()).toBe('2');
  });

  it('tells a caller that gives up at once when the database does not exist', async () => {
    const elsewhere = open(test.url.replace(test.name, 'nowhere'));
    const query = elsewhere.lane.query({ text: 'select 1', values: [] }, { giveUpAfterMs: 20_000 });
    await expect(query).rejects.toThrow('postgres-provider-connection-failed: database "nowhere" does not exist');
    await elsewhere.database.release();
  });

  it('outlives a restart and a crash of the server', async () => {
    const cluster = await startPrivateCluster();
    const own = open(cluster.url);
    await own.lane.script('create table effect (id int primary key)');
    for (const mode of ['fast', 'immediate'] as const) {
      const restart = cluster.restart(mode);
      const query = own.lane.query({ text: 'select 1 as n', values: [] });
      await restart;
      expect(await query).toEqual([{ n: 1 }]);
    }
    await own.database.release();
  });

  it('believes an answer only when the synchronous replica has it', async () => {
    const cluster = await startPrivateCluster();
    const own = open(cluster.url);
    await own.lane.script('create table effect (id int primary key)');
    const client = await connect(cluster.url);
    const set = async (names: string) => {
      await client.query(`alter system set synchronous_standby_names to '${names}'`);
      await client.query('select pg_reload_conf()');
    };
    const whileWaiting = async (act: string) => {
      await vi.waitFor(
        async () => {
          const waiting = `select ${act}(pid) from pg_stat_activity where application_name = 'perdure test' and wait_event = 'SyncRep'`;
          expect((await client.query(waiting)).rowCount).toBe(1);
        },
        { timeout: 20_000 },
      );
    };
    for (const [id, act] of ['pg_cancel_backend', 'pg_terminate_backend'].entries()) {
      await set('nobody');
      await untilCommitsWait(cluster.url);
      const answered = vi.fn();
      const query = own.lane
        .query({ text: 'insert into effect values ($1::int) on conflict do nothing', values: [id] })
        .then(answered);
      await whileWaiting(act);
      await vi.waitFor(
        async () => {
          expect((await client.query('select from effect where id = $1', [id])).rowCount).toBe(1);
        },
        { timeout: 20_000 },
      );
      await whileWaiting('');
      expect(answered).not.toHaveBeenCalled();
      await set('');
      await query;
    }
    await client.end();
    await own.database.release();
  });
});

/** A session may know the new setting before the process that puts it into force does. */
async function untilCommitsWait(url: string): Promise<void> {
  const probe = await connect(url);
  const commit = () => probe.query("select pg_logical_emit_message(true, 'probe', '')").catch(() => {});
  for (let isDone = true; isDone; ) {
    const committed = commit().then(() => true);
    isDone = await Promise.race([committed, sleep(100, false)]);
  }
  await probe.end();
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  await client.connect();
  return client;
}
