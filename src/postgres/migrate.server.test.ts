/** On PGlite always; as superuser and as an ordinary role of a server where there is one. */
import { spawnSync } from 'node:child_process';
import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createDatabase } from '../../test/support/database.js';
import { InvalidArgumentError, SchemaVersionError } from '../core/errors.js';
import { type ConnectionOptions, openDatabase } from './connection.js';
import type { Database, Lane } from './database.js';
import { functions, migrations } from './embedded-sql.js';
import { migrate, migrationScript, SCHEMA_VERSION } from './migrate.js';
import type { SchemaSource } from './migration-script.js';

const hasServer = (inject('cluster') as unknown) !== undefined;

const CREATE =
  "create table thing (id bigint generated always as identity, body text); insert into thing (body) values ('first')";
// Slow, so that all twenty arrive while the first is at it.
const ALTER = `do $$ begin perform pg_sleep(0.2); end $$;
  alter table thing add column more text; create view things as select id from thing`;
const COUNT = `-- plans: index only
create or replace function count_things() returns bigint language plpgsql as $$ begin
  perform touch();
  return (select count(*) from thing);
end $$`;
// Quoted as the script quotes, and called by a function before it.
const TOUCH =
  'create or replace function touch() returns void language sql as $perdure$ update thing set body = body $perdure$';
const CLOCK =
  'create or replace function clock() returns timestamptz language sql as $$ select pg_catalog.clock_timestamp() $$';

function version(number: 1 | 2): SchemaSource {
  const migrations = [
    { number: 1, name: '0001_create', sql: CREATE },
    { number: 2, name: '0002_alter', sql: ALTER },
  ];
  return {
    oldestClient: 1,
    migrations: migrations.slice(0, number),
    functions: [
      { name: 'clock', sql: CLOCK },
      { name: 'count_things', sql: COUNT },
      { name: 'touch', sql: TOUCH },
    ],
  };
}

/** What nobody but the owner may do: must find nothing. */
const CATALOG_CHECK = `
select 'public_execute' as finding, p.oid::regprocedure::text as what from pg_proc p
where p.pronamespace = $1::regnamespace and has_function_privilege('public', p.oid, 'execute')
union all select 'definer_path', p.oid::regprocedure::text from pg_proc p
where p.pronamespace = $1::regnamespace and p.prosecdef
  and not exists (select from unnest(p.proconfig) c where c ~ '^search_path=.*pg_temp"?$')
union all select 'definer_superuser', p.oid::regprocedure::text from pg_proc p join pg_roles r on r.oid = p.proowner
where p.pronamespace = $1::regnamespace and p.prosecdef and r.rolsuper
union all select 'table_grant', c.oid::regclass || ' to ' || coalesce(nullif(a.grantee, 0)::regrole::text, 'public')
from pg_class c, aclexplode(c.relacl) a where c.relnamespace = $1::regnamespace and a.grantee <> c.relowner
union all select 'schema_create', coalesce(nullif(a.grantee, 0)::regrole::text, 'public')
from pg_namespace n, aclexplode(n.nspacl) a
where n.oid = $1::regnamespace and a.privilege_type = 'CREATE' and a.grantee <> n.nspowner`;

interface Place {
  /** A connection of its own for the n-th of several processes. */
  connection(n: number): ConnectionOptions;
  remove(): Promise<void>;
}

const places: [string, boolean, () => Promise<Place>][] = [
  ['on PGlite', true, onPglite],
  ['as superuser', hasServer, () => onServer(null)],
  ['as an ordinary role', hasServer, () => onServer('perdure_test_app')],
];

for (const [where, isThere, make] of places) {
  describe.skipIf(!isThere)(`a migration ${where}`, () => {
    let place: Place;
    let database: Database;
    let lane: Lane;
    beforeAll(async () => {
      place = await make();
      database = openDatabase(place.connection(0));
      lane = database.lane('test');
    });
    afterAll(async () => {
      await database.release();
      await place.remove();
    });
    const run = (text: string) => lane.query({ text, values: [] });
    const findings = (schema: string) => lane.query({ text: CATALOG_CHECK, values: [schema] });

    async function twenty(namespace: string, source: SchemaSource) {
      const databases = Array.from({ length: 20 }, (_, n) => openDatabase(place.connection(n)));
      await Promise.all(databases.map((each) => migrate(each, namespace, {}, source)));
      await Promise.all(databases.map((each) => each.release()));
    }

    it('is made once by twenty at the same time, then to the next version', async () => {
      await twenty('Twenty-x', version(1));
      await twenty('Twenty-x', version(2));
      const [info] = await run('select version, applied from twenty_x.schema_info');
      expect(info).toMatchObject({ version: 2 });
      const applied = JSON.parse(info?.applied as string) as { name: string }[];
      expect(applied.map(({ name }) => name)).toEqual(['0001_create', '0002_alter']);
      expect(await run('select twenty_x.count_things() as n')).toEqual([{ n: 1 }]);
      expect(await findings('twenty_x')).toEqual([]);
    });

    it('gives functions what their file asks for', async () => {
      await migrate(database, 'hardened', {}, version(1));
      const rows = await run(`select proname as name, prosecdef as definer, array_to_string(proconfig, '; ') as settings
        from pg_proc where pronamespace = 'hardened'::regnamespace order by proname`);
      const path = 'search_path=pg_catalog, hardened, pg_temp; jit=off';
      expect(rows).toEqual([
        { name: 'clock', definer: false, settings: null },
        {
          name: 'count_things',
          definer: true,
          settings: `${path}; enable_seqscan=off; enable_hashjoin=off; enable_mergejoin=off; plan_cache_mode=force_generic_plan`,
        },
        { name: 'schema_version', definer: true, settings: `${path}; debug_print_plan=off` },
        { name: 'touch', definer: true, settings: `${path}; debug_print_plan=off` },
      ]);
    });

    it('writes nothing when the schema is current or newer', async () => {
      await migrate(database, 'quiet', {}, version(2));
      const changed = 'select xmin::text as xmin, version from quiet.schema_info';
      const before = await run(changed);
      await migrate(database, 'quiet', {}, version(2));
      await migrate(database, 'quiet', {}, version(1));
      expect(await run(changed)).toEqual(before);
    });

    it('refuses code that is too old, naming both versions', async () => {
      await migrate(database, 'newer', {}, version(2));
      await run('update newer.schema_info set version = 9, oldest_client = 3');
      const failure = await migrate(database, 'newer', {}, version(2)).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(SchemaVersionError);
      expect(failure).toMatchObject({ versions: { database: 9, library: 2 } });
    });

    it('refuses a namespace that folds onto the schema of another, whether that is current or old', async () => {
      await migrate(database, 'a-b', {}, version(1));
      for (const source of [version(1), version(2)]) {
        const refused = migrate(database, 'A--B', {}, source);
        await expect(refused).rejects.toThrow(InvalidArgumentError);
        await expect(refused).rejects.toThrow(
          'namespace "A--B" cannot be used: its schema "a_b" belongs to namespace "a-b"',
        );
      }
      // Found behind the lock, when the other was made at the same moment.
      await run('drop function a_b.schema_version');
      await expect(migrate(database, 'A--B', {}, version(2))).rejects.toThrow('"a_b" belongs to namespace "a-b"');
    });

    it('leaves nothing behind when it fails', async () => {
      const migrations = [{ number: 1, name: '0001_bad', sql: 'create table half (n int); select 1 / 0' }];
      await expect(migrate(database, 'failing', {}, { ...version(1), migrations })).rejects.toMatchObject({
        code: '22012',
      });
      expect(await run("select nspname from pg_namespace where nspname = 'failing'")).toEqual([]);
    });

    it('is refused while workers are alive that it would leave behind, and then refuses them', async () => {
      await migrate(database, 'left-behind');
      const next = (oldestClient: number): SchemaSource => ({
        oldestClient,
        functions,
        migrations: [
          ...migrations,
          { number: SCHEMA_VERSION + 1, name: 'next', sql: 'alter table thread add column note text' },
        ],
      });
      const register = (key: string, version: number | null) =>
        run(
          `select * from left_behind.register_worker('${key}', 'host/${key}', 60000, '{workflow}', '{q}', '{flow}', ${version})`,
        );
      await register('1', SCHEMA_VERSION);
      const refused = await migrate(database, 'left-behind', {}, next(SCHEMA_VERSION + 1)).catch(
        (error: unknown) => error,
      );
      expect(refused).toBeInstanceOf(SchemaVersionError);
      expect(refused).toMatchObject({
        message: expect.stringMatching(/older workers are alive: host\/1\. Stop them first/),
      });
      expect(await run('select version, oldest_client from left_behind.schema_version()')).toEqual([
        { version: SCHEMA_VERSION, oldest_client: 1 },
      ]);

      await run(`update left_behind.worker set lease_until = clock_timestamp() - interval '1 s'`);
      expect(await migrate(database, 'left-behind', {}, next(SCHEMA_VERSION + 1))).toBe(true);
      await expect(register('2', SCHEMA_VERSION)).rejects.toMatchObject({ code: 'PD005' });
      await register('3', SCHEMA_VERSION + 1);
      await expect(migrate(database, 'left-behind')).rejects.toThrow(/needs a library of schema version/);
    });

    it('leaves older workers alone where they may stay', async () => {
      await migrate(database, 'side-by-side', {}, { migrations, functions, oldestClient: 1 });
      const register = (key: string, version: number) =>
        run(
          `select * from side_by_side.register_worker('${key}', 'h', 60000, '{workflow}', '{q}', '{flow}', ${version})`,
        );
      await register('old', SCHEMA_VERSION);
      const next = { number: SCHEMA_VERSION + 1, name: 'next', sql: 'alter table thread add column note text' };
      const source = { migrations: [...migrations, next], functions, oldestClient: SCHEMA_VERSION };
      expect(await migrate(database, 'side-by-side', {}, source)).toBe(true);
      await register('old', SCHEMA_VERSION);
      await register('new', SCHEMA_VERSION + 1);
      expect(await migrate(database, 'side-by-side')).toBe(false);
    });

    it('of this library leaves nothing open to others', async () => {
      await migrate(database, 'durable');
      await migrate(database, 'durable');
      expect(await findings('durable')).toEqual([]);
    });
  });
}

describe.skipIf(!hasServer)('a migration under load', () => {
  it('that waits for a table lets others go first, again and again', async () => {
    const test = await createDatabase();
    const database = openDatabase({ class: pg.Client, options: { connectionString: test.url } });
    const connect = async () => {
      const client = new pg.Client({ connectionString: test.url });
      await client.connect();
      return client;
    };
    const [holder, other] = [await connect(), await connect()];
    try {
      await migrate(database, 'busy', {}, version(1));
      await holder.query('begin; lock table busy.thing in row exclusive mode');
      const migrating = migrate(database, 'busy', {}, version(2));
      const waits = () =>
        other.query(
          `select from pg_locks where not granted and relation = 'busy.thing'::regclass and mode = 'AccessExclusiveLock'`,
        );
      while ((await waits()).rows.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      // Behind the migration in the queue, which lets it pass though the holder stays.
      await other.query(`set statement_timeout = '20s'; insert into busy.thing (body) values ('while it waits')`);
      await holder.query('commit');
      expect(await migrating).toBe(true);
      expect((await other.query('select version from busy.schema_version()')).rows).toEqual([{ version: 2 }]);
    } finally {
      await Promise.all([holder.end(), other.end()]);
      await database.release();
      await test.drop();
    }
  });
});

describe.skipIf(!hasServer)('the script for a DBA', () => {
  it('may be run by psql, again and again', async () => {
    const test = await createDatabase();
    for (const number of [1, 2, 2] as const) {
      const input = migrationScript('by-hand', version(number));
      const { status, stderr } = spawnSync('psql', ['-qX', '-v', 'ON_ERROR_STOP=1', test.url], {
        input,
        encoding: 'utf8',
      });
      expect(stderr).toBe('');
      expect(status).toBe(0);
    }
    const database = openDatabase({ class: pg.Client, options: { connectionString: test.url } });
    await migrate(database, 'by-hand', {}, version(2));
    await database.release();
    await test.drop();
  });
});

async function onPglite(): Promise<Place> {
  const connection = { class: PGlite, options: {} };
  return { connection: () => connection, async remove() {} };
}

async function onServer(role: string | null): Promise<Place> {
  const test = await createDatabase();
  const url = new URL(test.url);
  if (role !== null) {
    const admin = new pg.Client(test.url);
    await admin.connect();
    await admin.query(
      `drop role if exists ${role}; create role ${role} login; grant create on database ${test.name} to ${role}`,
    );
    await admin.end();
    url.username = role;
  }
  return {
    connection: (n) => ({
      class: pg.Client,
      options: { connectionString: url.href, fallback_application_name: `${n}` },
    }),
    remove: () => test.drop(),
  };
}
