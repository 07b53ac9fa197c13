/** The documented roles: each works with what it was granted and nothing more, and a tenant's sees nothing of the others. */

import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type ArchivedExecution,
  Client,
  Durable,
  Errors,
  migrationScript,
  provisionWorkerRole,
  revokeWorkerRole,
  Worker,
} from '../src/index.js';
import { openDatabase } from '../src/postgres/connection.js';
import { functions, migrations } from '../src/postgres/embedded-sql.js';
import { migrate } from '../src/postgres/migrate.js';
import { createDatabase } from './support/database.js';
import { Engine, kept, until } from './support/worker.js';

const { workflow } = Durable;
const SUFFIX = randomBytes(4).toString('hex');
const rolesSql = readFileSync(new URL('../sql/roles.sql', import.meta.url), 'utf8');

async function waits(id: string): Promise<unknown> {
  await (await workflow.search()).set('colour', 'red');
  return await workflow.condition(id);
}

let engine: Engine;

beforeAll(async () => {
  engine = await Engine.withoutWorker(kept);
  await engine.sql(rolesSql);
  await engine.sql(rolesSql); // any number of times
});

afterAll(async () => {
  await engine.close();
});

/** A login role that was granted another one, and a connection as it. */
async function roleWith(granted: string): Promise<{ class: typeof pg.Client; options: { connectionString: string } }> {
  const name = `${granted}_${SUFFIX}_${randomBytes(2).toString('hex')}`;
  await engine.sql(`create role ${name} login password 'x'`);
  await engine.sql(`grant ${granted} to ${name}`);
  return as(name);
}

function as(name: string, address = engine.database.url) {
  const url = new URL(address);
  url.username = name;
  url.password = 'x';
  return { class: pg.Client, options: { connectionString: url.href } };
}

/** SQL as a role. */
async function sqlAs({ options }: { options: { connectionString: string } }, text: string): Promise<unknown[]> {
  const client = new pg.Client(options);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const permissionDenied = expect.objectContaining({ code: '42501' });
const options = { logLevel: 'silent', shutdownGrace: 200 };

async function expectNoTables(connection: Awaited<ReturnType<typeof roleWith>>): Promise<void> {
  for (const table of ['execution', 'history', 'inbox', 'worker_role', 'access_role']) {
    await expect(sqlAs(connection, `select * from durable.${table}`), table).rejects.toEqual(permissionDenied);
  }
  await expect(sqlAs(connection, `select durable.grant_access(session_user::name, 'client')`)).rejects.toEqual(
    permissionDenied,
  );
  const add = `create function durable.mine() returns void language sql as 'select'`;
  await expect(sqlAs(connection, add)).rejects.toEqual(permissionDenied);
}

it('what the library calls is in the list of a kind, or is the owner’s alone', async () => {
  const folder = new URL('../src/postgres/protocol/', import.meta.url);
  const sources = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), 'utf8'));
  const called = sources.flatMap((source) => [...source.matchAll(/call\(\s*\w+,\s*'(\w+)'/g)].map(([, name]) => name));
  expect(called.length).toBeGreaterThan(40);
  const granted = await engine.sql<{ name: string }>(
    `select distinct unnest(role_functions(k)) as name from unnest('{scoped worker,worker,client,observer,dashboard}'::text[]) k`,
  );
  const names = new Set(granted.map(({ name }) => name));
  const owners = new Set(called.filter((name) => !names.has(name as string)));
  expect([...owners].sort()).toEqual([
    'create_entity_index',
    'create_search_index',
    'list_worker_roles',
    'make_due',
    'retire_workers_of',
    'take_over',
  ]);
});

describe('with no more than its kind', () => {
  it('a worker runs workflows of any queue and archives them; a client starts, asks and ends them', async () => {
    const forWorkers = await roleWith('durable_worker');
    const forClients = await roleWith('durable_client');
    const archived: string[] = [];
    const worker = await Worker.create({
      connection: forWorkers,
      taskQueue: 'any',
      workflow: waits,
      archive: async ({ workflowId }: ArchivedExecution) => void archived.push(workflowId),
      options,
    });
    const client = new Client({ connection: forClients });
    const start = (workflowId: string) =>
      client.workflow.start({ taskQueue: 'any', workflowName: 'waits', args: [`${workflowId} go`], workflowId });
    const handle = await start('one');
    await engine.awaitsSignal(handle, 'one go');
    await handle.pause();
    await handle.resume();
    await client.workflow.signal('one go', 'gone');
    expect(await handle.result()).toBe('gone');
    expect((await handle.exportExecution()).events.length).toBeGreaterThan(0);
    expect(await client.workflow.count({ status: 'completed' })).toBe(1);
    const other = await start('two');
    await other.terminate();
    await expect(other.result()).rejects.toThrow();

    await expect(Worker.create({ connection: forClients, taskQueue: 'any', workflow: waits, options })).rejects.toThrow(
      /permission denied/,
    );
    const wrong = new Client({ connection: forWorkers });
    await expect(
      wrong.workflow.start({ taskQueue: 'any', workflowName: 'waits', args: ['x'], workflowId: 'three' }),
    ).rejects.toThrow(/permission denied/);
    for (const connection of [forClients, forWorkers]) {
      await expectNoTables(connection);
      await expect(sqlAs(connection, 'select * from durable.workflows')).rejects.toEqual(permissionDenied);
    }
    await engine.sql(`update pruning set due_at = now()`);
    await until('both are archived', () => archived.length >= 2);
    await wrong.close();
    await client.close();
    await worker.stop();
    await engine.sql('update archiving set is_on = false');
  });

  it('an observer looks at views, lists and reasons, and at nothing else', async () => {
    const observer = await roleWith('durable_observer');
    await engine.start('waits', ['secret argument'], { taskQueue: 'nobody', workflowId: 'observed' });
    const client = new Client({ connection: { ...observer, readonly: true } });
    const listed: string[] = [];
    for await (const { workflowId } of client.workflow.list({ taskQueue: 'nobody' })) listed.push(workflowId);
    expect(listed).toContain('observed');
    const explanation = await client.workflow
      .getHandle('nobody', 'waits', 'observed')
      .then((handle) => handle.explain());
    expect(JSON.stringify(explanation)).not.toContain('secret argument');
    const seen = await sqlAs(observer, `select * from durable.workflows where workflow_id = 'observed'`);
    expect(seen).toHaveLength(1);
    expect(JSON.stringify(seen)).not.toContain('secret argument');
    await expectNoTables(observer);
    const handle = await client.workflow.getHandle('nobody', 'waits', 'observed');
    for (const call of [
      handle.terminate(),
      handle.exportExecution(),
      handle.result(),
      client.prune({ olderThan: '1 day' }),
    ]) {
      await expect(call).rejects.toBeInstanceOf(Errors.PermissionError);
      await expect(call).rejects.toThrow(/permission denied for function/);
    }
    await client.close();
  });

  it('a dashboard reads and steers, and starts nothing', async () => {
    const dashboard = await roleWith('durable_dashboard');
    await engine.start('waits', ['x'], { taskQueue: 'nobody', workflowId: 'steered' });
    const client = new Client({ connection: { ...dashboard, readonly: true } });
    const handle = await client.workflow.getHandle('nobody', 'waits', 'steered');
    expect((await handle.exportExecution()).workflow_id).toBe('steered');
    await handle.pause();
    await handle.resume();
    await handle.terminate();
    expect(await sqlAs(dashboard, `select status from durable.workflows where workflow_id = 'steered'`)).toEqual([
      { status: 'terminated' },
    ]);
    await expect(
      client.workflow.start({ taskQueue: 'nobody', workflowName: 'waits', args: [], workflowId: 'more' }),
    ).rejects.toThrow(/permission denied/);
    await expectNoTables(dashboard);
    await client.close();
  });

  it('loses all of it when it is withdrawn', async () => {
    const name = `withdrawn_${SUFFIX}`;
    await engine.sql(`create role ${name} login password 'x'`);
    await engine.sql(`select grant_access('${name}', 'client'), grant_access('${name}', 'observer')`);
    expect(await sqlAs(as(name), 'select * from durable.workflows limit 0')).toEqual([]);
    await engine.sql(`select withdraw_access('${name}')`);
    await expect(sqlAs(as(name), 'select * from durable.workflows')).rejects.toEqual(permissionDenied);
    await expect(sqlAs(as(name), 'select * from durable.schema_version()')).rejects.toEqual(permissionDenied);
  });

  it('is told what kinds there are', async () => {
    await expect(engine.sql(`select grant_access('postgres', 'admin')`)).rejects.toThrow(
      'grant_access: kind must be client, worker, observer or dashboard; got admin',
    );
    await expect(engine.sql(`select grant_access('postgres', null)`)).rejects.toThrow('grant_access: kind must be');
  });

  it('a migrator makes the schema, and everything works in it, without a superuser', async () => {
    const database = await createDatabase();
    const deployer = `deployer_${SUFFIX}`;
    await engine.sql(`create role ${deployer} login password 'x'`);
    const superuser = new pg.Client(database.url);
    await superuser.connect();
    await superuser.query(`grant create on database ${database.name} to ${deployer}`);
    const connection = as(deployer, database.url);
    const worker = await Worker.create({ connection, taskQueue: 'q', workflow: waits, options });
    const client = new Client({ connection });
    const handle = await client.workflow.start({ taskQueue: 'q', workflowName: 'waits', args: ['s'], workflowId: 'w' });
    await client.workflow.signal('s', 1);
    expect(await handle.result()).toBe(1);
    const { rows } = await superuser.query(
      `select distinct pg_get_userbyid(p.proowner) as owner from pg_proc p where p.pronamespace = 'durable'::regnamespace`,
    );
    expect(rows).toEqual([{ owner: deployer }]);
    await worker.stop();
    await client.close();
    await superuser.end();
    await database.drop();
  });
});

it('an upgrade renews the rights of all roles, and gives none to anybody else', async () => {
  const scoped = await provisionWorkerRole({ connection: engine.connection, streamNames: ['upgraded'] });
  const revoked = await provisionWorkerRole({ connection: engine.connection, streamNames: ['revoked'] });
  await revokeWorkerRole({ connection: engine.connection, roleName: revoked.roleName });
  const number = migrations.length + 1;
  const database = openDatabase(engine.connection);
  await migrate(
    database,
    'durable',
    {},
    {
      migrations: [...migrations, { number, name: 'next', sql: 'select 1' }],
      functions: [
        ...functions,
        // one that did not exist before, under a name that workers call
        {
          name: 'claim_next',
          sql: 'create or replace function claim(p_next text) returns void language sql as $$ select $$',
        },
      ],
      oldestClient: 1,
    },
  );
  await database.release();
  const [may] = await engine.sql(
    `select has_function_privilege($1, f, 'execute') as scoped, has_function_privilege($2, f, 'execute') as revoked,
       has_function_privilege('durable_worker', f, 'execute') as worker, has_function_privilege('durable_client', f, 'execute') as client,
       has_table_privilege('durable_observer', 'durable.workflows', 'select') as views
     from (values ('durable.claim(text)'::regprocedure)) x (f)`,
    [scoped.roleName, revoked.roleName],
  );
  expect(may).toEqual({ scoped: true, revoked: false, worker: true, client: false, views: true });
});

describe('tenants have a namespace each', () => {
  it('and a role of one can neither see nor touch anything of another', async () => {
    const superuser = new pg.Client(engine.database.url);
    await superuser.connect();
    const tenants = [];
    for (const namespace of ['acme', 'zenith']) {
      await superuser.query(migrationScript(namespace));
      const name = `${namespace}_${SUFFIX}`;
      await superuser.query(`create role ${name} login password 'x'`);
      for (const kind of ['client', 'worker', 'observer'])
        await superuser.query(`select ${namespace}.grant_access($1, $2)`, [name, kind]);
      tenants.push({ namespace, connection: as(name) });
    }
    const running = [];
    for (const { namespace, connection } of tenants) {
      const worker = await Worker.create({ connection, namespace, taskQueue: 'q', workflow: waits, options });
      const client = new Client({ connection });
      // the same id and the same signal in both
      const handle = await client.workflow.start({
        namespace,
        taskQueue: 'q',
        workflowName: 'waits',
        args: ['shared'],
        workflowId: 'same',
      });
      running.push({ namespace, worker, client, handle, connection });
    }
    const [acme, zenith] = running as [(typeof running)[0], (typeof running)[0]];
    await acme.client.workflow.signal('shared', 'for acme', 'acme');
    expect(await acme.handle.result()).toBe('for acme');
    expect(await zenith.handle.status()).toBe(1);

    const names = await superuser.query<{ name: string }>(
      `select p.oid::regprocedure::text as name from pg_proc p where p.pronamespace = 'zenith'::regnamespace
         and has_function_privilege('acme_${SUFFIX}', p.oid, 'execute')`,
    );
    expect(names.rows).toEqual([]);
    for (const text of [
      'select * from zenith.workflows',
      'select * from zenith.execution',
      'select * from zenith.schema_version()',
      `select zenith.signal_workflow('same', 'shared', '1')`,
      `select * from zenith.register_worker('k', 'd', 1000, '{workflow}', '{q}', '{waits}')`,
    ]) {
      await expect(sqlAs(acme.connection, text), text).rejects.toEqual(permissionDenied);
    }
    const start = { namespace: 'zenith', taskQueue: 'q', workflowName: 'waits', args: ['x'], workflowId: 'theirs' };
    await expect(acme.client.workflow.start(start)).rejects.toThrow(/permission denied/);

    await zenith.handle.terminate();
    for (const { worker, client } of running) {
      await client.close();
      await worker.stop();
    }
    await superuser.end();
  });
});
