import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { Client, Durable, Errors, registerActivityWorker, shutdown, Worker, workflow } from '../src/index.js';
import { createMigratedDatabase } from './support/database.js';
import { startPrivateCluster } from './support/private-cluster.js';
import { type Exit, spawnFixture } from './support/process.js';
import { startProxy } from './support/proxy.js';
import { Engine, Journal, pause, until } from './support/worker.js';

async function endsWithin<T>(ms: number, what: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([what, late]);
  } finally {
    clearTimeout(timer);
  }
}

describe('a process', () => {
  it.each(['Client', 'Pool'])(
    'with %s of pg ends by itself after shutdown, and may begin again before',
    async (driver) => {
      const { url, drop } = await createMigratedDatabase();
      const fixture = spawnFixture('exits-by-itself.mjs', { env: { URL: url, DRIVER: driver } });
      expect(await endsWithin(30_000, fixture.exited)).toEqual({ code: 0, signal: null });
      expect(fixture.messages).toEqual([
        { type: 'result', round: 1, result: 'Hello, round 1' },
        { type: 'result', round: 2, result: 'Hello, round 2' },
        { type: 'shut down' },
      ]);
      await drop();
    },
  );

  it('that is asked to end lets its activity finish, ends by the signal, and loses nothing', async () => {
    const engine = await Engine.withoutWorker();
    const env = { URL: engine.database.url, SLOW_MS: '700' };
    const first = spawnFixture('drains.mjs', { env });
    await first.waitFor(({ type }) => type === 'ready');
    const handle = await engine.start('works');
    await first.waitFor(({ type }) => type === 'slow runs');
    first.kill('SIGTERM');
    expect(await endsWithin(8_000, first.exited)).toEqual<Exit>({ code: null, signal: 'SIGTERM' });
    expect(first.messages.map(({ type }) => type)).toEqual(['ready', 'slow runs', 'slow ends']);
    const second = spawnFixture('drains.mjs', { env });
    expect(await engine.result(handle)).toEqual(['slow', 'next']);
    expect(second.messages.map(({ type }) => type)).not.toContain('slow runs');
    second.kill('SIGINT');
    expect(await endsWithin(8_000, second.exited)).toEqual<Exit>({ code: null, signal: 'SIGINT' });
    await engine.close();
  });

  it('that is asked twice ends at once; what it left is done again', async () => {
    const engine = await Engine.withoutWorker();
    const first = spawnFixture('drains.mjs', { env: { URL: engine.database.url, SLOW_MS: '60000' } });
    await first.waitFor(({ type }) => type === 'ready');
    const handle = await engine.start('works');
    await first.waitFor(({ type }) => type === 'slow runs');
    first.kill('SIGTERM');
    await pause(100);
    first.kill('SIGTERM');
    expect(await endsWithin(2_000, first.exited)).toEqual<Exit>({ code: null, signal: 'SIGTERM' });
    const second = spawnFixture('drains.mjs', { env: { URL: engine.database.url, SLOW_MS: '1' } });
    expect(await engine.result(handle)).toEqual(['slow', 'next']);
    second.kill();
    await second.exited;
    await engine.close();
  });

  it('that listens to the signal itself decides itself', async () => {
    const engine = await Engine.withoutWorker();
    const fixture = spawnFixture('drains.mjs', { env: { URL: engine.database.url, SLOW_MS: '1', LISTENER: '1' } });
    await fixture.waitFor(({ type }) => type === 'ready');
    fixture.kill('SIGTERM');
    await fixture.waitFor(({ type }) => type === 'listener');
    await pause(200);
    expect(await engine.run('works')).toEqual(['slow', 'next']);
    await engine.close();
  });
});

describe('shutdown', () => {
  const greeting = async (name: string) => `Hello, ${name}`;

  it('ends all clients and workers; new ones of the same process work, old handles say why they do not', async () => {
    const { url, drop } = await createMigratedDatabase();
    const connection = { class: pg.Client, options: { connectionString: url } };
    const options = { logLevel: 'silent', parkAfter: 10, shutdownGrace: 100 };
    const begin = async () => {
      await Worker.create({
        connection,
        taskQueue: 'q',
        workflow: { greeting, waits: () => workflow.condition('go') },
        options,
      });
      return new Client({ connection });
    };
    const first = await begin();
    const start = { taskQueue: 'q', workflowName: 'greeting' };
    const old = await first.workflow.start({ ...start, args: ['first'] });
    expect(await old.result()).toBe('Hello, first');
    const waiting = await first.workflow.start({ taskQueue: 'q', workflowName: 'waits', args: [] });
    const pending = waiting.result().catch((error: unknown) => error);
    // What nobody can know is no outcome: it rejects, whatever the caller wants of the workflow's own errors.
    const quiet = waiting.result({ throwOnError: false }).then(
      () => null,
      (error: unknown) => error,
    );
    await Durable.shutdown();
    expect(await endsWithin(1_000, pending)).toBeInstanceOf(Errors.ConnectionError);
    expect(await endsWithin(1_000, quiet)).toBeInstanceOf(Errors.ConnectionError);
    await shutdown();

    const second = await begin();
    const handle = await second.workflow.start({ ...start, args: ['second'] });
    expect(await handle.result()).toBe('Hello, second');
    const again = await second.workflow.getHandle('q', 'waits', waiting.workflowId);
    expect(await again.signal('go', 'on')).toBe('delivered');
    expect(await again.result()).toBe('on');
    // A client connects again when it is used again.
    expect(await (await first.workflow.start({ ...start, args: ['third'] })).result()).toBe('Hello, third');
    await expect(endsWithin(3_000, old.status())).rejects.toThrow(Errors.ConnectionError);
    await expect(endsWithin(3_000, old.result())).rejects.toThrow(/closed|shut down/);
    await shutdown();
    await drop();
  });

  it('before anything was connected, or twice at once, is nothing special', async () => {
    new Client({ connection: { class: pg.Client, options: {} } });
    await Promise.all([shutdown(), shutdown()]);
  });

  it('does not wait for a database that cannot be reached', async () => {
    const client = new Client({ connection: { class: pg.Client, options: { host: '127.0.0.1', port: 1 } } });
    const started = client.workflow
      .start({ taskQueue: 'q', workflowName: 'w', args: [] })
      .catch((error: unknown) => error);
    await pause(100);
    await endsWithin(5_000, client.close());
    expect(await endsWithin(5_000, started)).toBeInstanceOf(Errors.ConnectionError);
  });

  it('of a worker whose database went away ends, too', async () => {
    const cluster = await startPrivateCluster();
    const connection = { class: pg.Client, options: { connectionString: cluster.url } };
    const client = new Client({ connection });
    const worker = await Worker.create({
      connection,
      taskQueue: 'q',
      workflow: { waits: () => workflow.condition('go') },
      options: { logLevel: 'silent', parkAfter: '2s', shutdownGrace: 500 },
    });
    const handle = await client.workflow.start({ taskQueue: 'q', workflowName: 'waits', args: [] });
    const pending = handle.result().catch((error: unknown) => error);
    await pause(300);
    await cluster.stop('immediate');
    await pause(300);
    await endsWithin(10_000, worker.stop());
    await endsWithin(5_000, client.close());
    expect(await endsWithin(1_000, pending)).toBeInstanceOf(Error);
  });
});

describe('a worker that is told to stop while a claim is under way', () => {
  const journal = new Journal();
  const remote = workflow.proxyActivities<{ work(): Promise<void> }>({ taskQueue: 'remote' });
  const tuning = { logLevel: 'silent', leaseDuration: '20s', shutdownGrace: 0 };
  const noting = (who: string) => async () => journal.note('done by', who);

  /** A database that is slow to answer: what the claim brings comes when the worker has begun to stop. */
  async function slowly(): Promise<{ engine: Engine; connection: Engine['connection']; slow: (on: boolean) => void }> {
    const engine = await Engine.withoutWorker();
    const proxy = await startProxy(engine.database.url);
    const options = { connectionString: proxy.url(engine.database.url) };
    const slow = (on: boolean) => {
      proxy.delayMs = on ? 900 : 0;
    };
    return { engine, connection: { class: pg.Client, options }, slow };
  }

  it('begins no activity that it brings: another does it, and it is done once', async () => {
    const { engine, connection, slow } = await slowly();
    await engine.addWorker({ workflow: { calls: async () => await remote.work() } });
    const config = { connection, taskQueue: 'remote', options: tuning };
    const leaving = await registerActivityWorker(config, { work: noting('the activity worker that left') });
    slow(true);
    const handle = await engine.start('calls');
    await until(
      'it is claimed',
      async () => (await engine.sql('select from activity_task where owner > 1')).length > 0,
    );
    const stopped = leaving.stop();
    slow(false); // the answer is on its way, and late
    await stopped;
    await engine.addActivityWorker('remote', { work: noting('its successor') });
    await engine.result(handle);
    expect(journal.of('done by')).toEqual(['its successor']);
    await engine.close();
  });

  it('begins no workflow that it brings', async () => {
    const { engine, connection, slow } = await slowly();
    const leaving = await Worker.create({
      connection,
      taskQueue: 'test',
      workflow: { begins: async () => journal.note('begun by', 'the worker that left') },
      options: tuning,
    });
    slow(true);
    const handle = await engine.start('begins');
    await until(
      'it is claimed',
      async () => (await engine.sql('select from thread where owner is not null')).length > 0,
    );
    const stopped = leaving.stop();
    slow(false);
    await stopped;
    await engine.addWorker({ workflow: { begins: async () => journal.note('begun by', 'its successor') } });
    await engine.result(handle);
    expect(journal.of('begun by')).toEqual(['its successor']);
    await engine.close();
  });
});
