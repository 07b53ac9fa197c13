import { describe, expect, it, type TestContext } from 'vitest';
import { Client, Errors, registerActivityWorker, type SystemEvent, Worker, workflow } from '../src/index.js';
import { createDatabase } from './support/database.js';
import { Engine, until } from './support/worker.js';

async function greets(name: string) {
  return `hello ${name}`;
}

async function fails() {
  throw new Errors.ApplicationFailure('it was no use', { nonRetryable: true });
}

async function waits() {
  return await workflow.condition('go');
}

async function goesOn(n: number) {
  if (n > 0) await workflow.continueAsNew(n - 1);
}

async function opens() {
  return await workflow.executeChild({ workflowName: 'greets', taskQueue: 'test', args: ['you'], workflowId: 'child' });
}

async function endsItself() {
  await workflow.terminate(workflow.workflowInfo().workflowId);
}

const functions = { greets, fails, waits, goesOn, opens, endsItself };

describe.concurrent('lifecycle events', () => {
  async function open({ onTestFinished }: Pick<TestContext, 'onTestFinished'>): Promise<Engine> {
    const engine = await Engine.withoutWorker();
    onTestFinished(() => engine.close());
    return engine;
  }
  const told = () => {
    const events: SystemEvent[] = [];
    const types = (about: string) =>
      events.map(({ type }) => type).filter((type) => type.startsWith(`system.${about}`));
    return { events, types, publish: (event: SystemEvent) => void events.push(event) };
  };
  const options = { logLevel: 'silent', shutdownGrace: 100 };

  it('tell of workers and engines, in the documented shape', async (context) => {
    const engine = await open(context);
    const events = told();
    const { connection } = engine;
    const worker = await Worker.create({
      connection,
      taskQueue: 'a-queue',
      workflow: greets,
      options,
      events,
      guid: 'mine',
    });
    await worker.stop();
    await worker.stop();
    const pool = await registerActivityWorker({ connection, taskQueue: 'pool', options, events }, { greets });
    await pool.stop();
    expect(events.types('')).toEqual([
      'system.engine.durable.started',
      'system.worker.a-queue.started',
      'system.worker.a-queue.stopped',
      'system.engine.durable.stopped',
      'system.engine.durable.started',
      'system.worker.pool.started',
      'system.worker.pool.stopped',
      'system.engine.durable.stopped',
    ]);
    const [first, second] = events.events;
    expect(first).toEqual({
      event_id: `durable:started:${first?.ts}`,
      type: 'system.engine.durable.started',
      ts: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      namespace: 'durable',
      app_id: 'durable',
      data: { appId: 'durable', guid: 'mine' },
    });
    expect(second?.data).toEqual({ taskQueue: 'a-queue', appId: 'durable' });
  });

  it('tell of a client, and of the schema that its first call makes', async ({ onTestFinished }) => {
    const database = await createDatabase();
    onTestFinished(() => database.drop());
    const events = told();
    const { Client: PgClient } = (await import('pg')).default;
    const connection = { class: PgClient, options: { connectionString: database.url } };
    for (const _ of [1, 2]) {
      const client = new Client({ connection, events });
      expect(client.events).toBe(events);
      await client.getHotMeshClient(null, 'shop');
      await client.close();
    }
    expect(events.types('')).toEqual([
      'system.engine.shop.deployed',
      'system.engine.shop.started',
      'system.engine.shop.stopped',
      'system.engine.shop.started',
      'system.engine.shop.stopped',
    ]);
    expect(events.events[0]?.data).toEqual({ appId: 'shop' });
  });

  it('tell how workflows begin and end, once it is durable', async (context) => {
    const engine = await open(context);
    const events = told();
    const { connection, taskQueue } = engine;
    const worker = await Worker.create({ connection, taskQueue, workflow: functions, options, events });
    const client = new Client({ connection, events });
    context.onTestFinished(() => client.close());
    context.onTestFinished(() => worker.stop());
    await engine.run('opens', [], { workflowId: 'parent' });
    await engine.failure(await engine.start('fails', [], { workflowId: 'failing' }));
    await engine.run('goesOn', [1], { workflowId: 'chain' });
    const waiting = await engine.start('waits', [], { workflowId: 'waiting' });
    await engine.waits(waiting);
    await (await client.workflow.getHandle(taskQueue, 'waits', 'waiting')).terminate();
    await engine.failure(await engine.start('endsItself', [], { workflowId: 'self' }));
    const cancelled = await engine.start('waits', [], { workflowId: 'cancelled' });
    await engine.waits(cancelled);
    await cancelled.cancel();
    await engine.failure(cancelled);
    await until(
      'all was told',
      () => events.types('workflow.cancelled').length === 2 && events.types('workflow.self').length === 2,
    );
    const of = (id: string) => events.types(`workflow.${id}.`).map((type) => type.split('.').at(-1));
    expect(of('parent')).toEqual(['started', 'completed']);
    expect(of('child')).toEqual(['started', 'completed']);
    expect(of('failing')).toEqual(['started', 'failed']);
    expect(of('chain')).toEqual(['started', 'continued', 'started', 'completed']);
    expect(of('waiting')).toEqual(['started', 'terminated']);
    expect(of('self')).toEqual(['started', 'terminated']);
    expect(of('cancelled')).toEqual(['started', 'cancelled']);
    expect(events.events.find(({ type }) => type === 'system.workflow.child.completed')).toMatchObject({
      workflow_id: 'child',
      parent_id: 'parent',
      origin_id: 'parent',
      data: { workflowId: 'child', workflowName: 'greets', taskQueue, run: 0 },
    });
  });

  it('that cannot be published hold up nothing, and reach nobody', async (context) => {
    const engine = await open(context);
    const messages: string[] = [];
    const log = (_: object | string, message?: unknown) => void messages.push(String(message));
    const logger = { trace: () => {}, debug: () => {}, info: () => {}, warn: log, error: () => {} };
    let calls = 0;
    const ways = [
      () => {
        throw new Error('sync');
      },
      () => Promise.reject(new Error('async')),
      () => new Promise(() => {}),
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: a promise of somebody else's
        then() {
          throw new Error('thenable');
        },
      }),
    ];
    const events = { publish: () => (ways[calls++ % ways.length] as () => unknown)() };
    const { connection, taskQueue } = engine;
    const worker = await Worker.create({ connection, taskQueue, workflow: functions, events, logger });
    for (let n = 0; n < 4; n++) expect(await engine.run('greets', ['you'])).toBe('hello you');
    await worker.stop();
    expect(calls).toBe(12);
    await until('it was logged', () => messages.filter((text) => text.includes('lifecycle event')).length === 9);
  });

  it('are refused where nobody could be told', async () => {
    const connection = { class: (await import('pg')).default.Client, options: {} };
    for (const events of [null, {}, { publish: 'x' }, () => {}])
      expect(() => new Client({ connection, events: events as never })).toThrow(
        /Client: events must be an object with a function `publish`/,
      );
  });
});
