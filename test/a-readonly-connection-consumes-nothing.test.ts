import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client, Durable, Errors, registerActivityWorker, Worker } from '../src/index.js';
import { createDatabase, type TestDatabase } from './support/database.js';
import { Engine, Journal } from './support/worker.js';

const journal = new Journal();
const { charge } = Durable.workflow.proxyActivities<{ charge(): Promise<string> }>({ taskQueue: 'payments' });

async function order() {
  journal.note('order');
  const paid = await charge();
  return [paid, await Durable.workflow.condition('go'), await Durable.workflow.condition('more')];
}

async function adds() {
  await Durable.workflow.signal('more', 'hooked');
}

const never = (name: string) => async () => journal.note(`${name} of the readonly worker`);

describe('a readonly connection', () => {
  it.each(['short', 'long', 'connected'])(
    '(%s form) starts, hooks, signals and awaits, and runs nothing',
    async (form) => {
      const engine = await Engine.withoutWorker();
      const short = { ...engine.connection, readonly: true };
      const connection = {
        short,
        long: { store: engine.connection, sub: engine.connection, readonly: true },
        connected: await Durable.Connection.connect(short),
      }[form] as typeof short;
      const client = new Client({ connection });
      const options = { logLevel: 'silent' };
      const idle = [
        await Worker.create({
          connection,
          taskQueue: 'test',
          workflow: { order: never('order'), adds: never('adds') },
          options,
        }),
        await registerActivityWorker({ connection, taskQueue: 'payments', options }, { charge: never('charge') }),
      ];
      const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'order', args: [] });
      expect(await engine.sql('select from worker')).toEqual([]); // nobody serves anything

      await engine.addWorker({ workflow: { order, adds } });
      await engine.addActivityWorker('payments', { charge: async () => 'paid' });
      await handle.signal('go', 'gone');
      await client.workflow.hook({ taskQueue: 'test', workflowName: 'adds', workflowId: handle.workflowId, args: [] });
      expect(await engine.result(handle)).toEqual(['paid', 'gone', 'hooked']);
      expect(await handle.status()).toBe(0);
      for (const name of ['order', 'adds', 'charge']) expect(journal.count(`${name} of the readonly worker`)).toBe(0);
      expect((await engine.sql('select from worker')).length).toBe(1);

      const ran = idle[0]?.run();
      await Promise.all(idle.map((worker) => worker.stop()));
      await ran;
      await client.close();
      await engine.close();
    },
  );

  it('does not make a pool that is registered again readonly, nor the other way round', async () => {
    const engine = await Engine.withoutWorker();
    const functions = { charge: async () => 'paid' };
    const options = { logLevel: 'silent', shutdownGrace: 100 };
    const config = { connection: engine.connection, taskQueue: 'payments', options };
    const readonly = { ...config, connection: { ...engine.connection, readonly: true } };
    const idle = await registerActivityWorker(readonly, functions);
    const worker = await registerActivityWorker(config, functions);
    expect(worker).not.toBe(idle);
    expect((await engine.sql('select from worker')).length).toBe(1);
    await Promise.all([idle.stop(), worker.stop()]);
    await engine.close();
  });
});

describe('the schema', () => {
  let database: TestDatabase;
  const connection = () => ({ class: pg.Client, options: { connectionString: database.url } });

  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.drop());

  it('is not made by a readonly client, which says so; it is there for it once somebody else has made it', async () => {
    const readonly = new Client({ connection: { ...connection(), readonly: true } });
    const start = () => readonly.workflow.start({ taskQueue: 'q', workflowName: 'w', workflowId: 'w-1', args: [] });
    await expect(start()).rejects.toThrow(Errors.SchemaVersionError);
    await expect(start()).rejects.toThrow(/namespace "durable" has no schema .* a readonly connection makes none/);
    await expect(readonly.deployAndActivate()).rejects.toThrow(
      /^deployAndActivate: the connection must not be readonly/,
    );

    const client = new Client({ connection: connection() });
    await client.deployAndActivate();
    expect((await start()).workflowId).toBe('w-1');
    await readonly.close();
    await client.close();
  });

  it('is made by deployAndActivate, of the namespace it names, and of no version lower than the library’s', async () => {
    const client = new Client({ connection: connection(), namespace: 'first' });
    await client.deployAndActivate();
    await client.deployAndActivate('second', '1');
    await client.deployAndActivate('second', 99);
    const sql = new pg.Client(connection().options);
    await sql.connect();
    const { rows } = await sql.query(
      "select nspname from pg_namespace where nspname in ('first', 'second') order by 1",
    );
    await sql.end();
    expect(rows).toEqual([{ nspname: 'first' }, { nspname: 'second' }]);
    for (const version of ['soon', '', '1.x', Number.NaN])
      await expect(client.deployAndActivate('third', version)).rejects.toThrow(/Invalid version number/);
    await client.close();
  });
});

describe('Connection.connect', () => {
  const options = { host: '127.0.0.1', port: 1 };

  it('opens nothing, and copies the short form with all it says', async () => {
    const given = { class: pg.Client, options, readonly: true, codec: null };
    const connected = await Durable.Connection.connect(given);
    expect(connected).toEqual({ class: pg.Client, options, readonly: true, codec: null, provider: 'postgres' });
    expect(connected.options).not.toBe(options);
    expect(await Durable.Connection.create({ class: PGlite })).toEqual({
      class: PGlite,
      options: {},
      provider: 'pglite',
    });
    expect(await Durable.Connection.create({ class: pg.Pool, options })).toMatchObject({ provider: 'postgres.pool' });
  });

  it('gives the long form back as it is', async () => {
    const given = { store: { class: pg.Client, options }, stream: {}, sub: {} };
    expect(await Durable.Connection.connect(given)).toBe(given);
  });

  it.each([
    [{ class: class Other {} }, /^Unable to identify provider type/],
    [undefined, /^Unable to identify provider type/],
    [{ store: { class: 7 } }, /^Unable to identify provider type/],
    [
      { class: pg.Client, options, readOnly: true },
      /^connection: unknown option "readOnly"; did you mean "readonly"\?/,
    ],
    [{ store: { class: pg.Client, options }, readOnly: true }, /unknown option "readOnly"/],
    [{ class: pg.Client, options, readonly: 'yes' }, /^connection: readonly must be true or false; got "yes"/],
  ])('refuses %s', async (given, message) => {
    await expect(Durable.Connection.connect(given as never)).rejects.toThrow(message);
  });
});

describe('a PGlite folder', () => {
  it('is of one object in a process: a second one is refused with what to do', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'perdure-twice-'));
    const dataDir = join(folder, 'data');
    try {
      const own = new PGlite(dataDir);
      const client = new Client({ connection: { class: own } });
      await client.deployAndActivate();
      const rival = new Client({ connection: { class: PGlite, options: { dataDir } } });
      await expect(rival.deployAndActivate()).rejects.toThrow(
        /PGlite folder .* is open in this process by way of another/,
      );
      await client.close();
      await own.close();
      await rival.deployAndActivate();
      const again = new Client({ connection: { class: PGlite, options: { dataDir: `file://${dataDir}` } } });
      await again.deployAndActivate(); // the same database, by another literal
      await Promise.all([rival.close(), again.close()]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
