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

async function opensLeft() {
  await workflow.startChild({ workflowName: 'waits', taskQueue: 'test', args: [], workflowId: 'family-child' });
  await workflow.condition('go');
}

async function opensDependents() {
  const child = { workflowName: 'waits', taskQueue: 'test', args: [] };
  await workflow.startChild({ ...child, workflowId: 'brief-ends', parentClosePolicy: 'TERMINATE' });
  await workflow.startChild({ ...child, workflowId: 'brief-cancels', parentClosePolicy: 'REQUEST_CANCEL' });
}

async function ends(id: string) {
  await workflow.terminate(id);
}

const functions = { greets, fails, waits, goesOn, opens, endsItself, opensLeft, opensDependents, ends };

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

  it('tell of what ends in the database alone, each once', async (context) => {
    const engine = await open(context);
    const byWorker = told();
    const byClient = told();
    const { connection, taskQueue } = engine;
    const worker = await Worker.create({ connection, taskQueue, workflow: functions, options, events: byWorker });
    const client = new Client({ connection, events: byClient });
    context.onTestFinished(() => client.close());
    context.onTestFinished(() => worker.stop());
    const start = (workflowName: string, workflowId: string, further = {}) =>
      client.workflow.start({ taskQueue, workflowName, workflowId, args: [], ...further });
    const begin = async (...given: Parameters<typeof start>) => {
      const handle = await start(...given);
      await engine.waits(handle);
      return handle;
    };

    await engine.failure(await start('waits', 'late', { workflowRunTimeout: '100ms' }));
    await engine.failure(await start('waits', 'late-chain', { workflowExecutionTimeout: '100ms' }));
    await start('waits', 'elsewhere', { taskQueue: 'unserved', workflowRunTimeout: '100ms' });
    await until("another queue's was told", () => byWorker.types('workflow.elsewhere.failed').length === 1);

    await begin('opensLeft', 'family');
    const child = await client.workflow.getHandle(taskQueue, 'waits', 'family-child');
    await engine.waits(child);
    await client.workflow.bulk.terminate({ workflowName: 'opensLeft' }, { descend: true });
    await expect(child.result()).rejects.toThrow();
    await engine.run('opensDependents', [], { workflowId: 'brief' });
    for (const id of ['brief-ends', 'brief-cancels'])
      await engine.failure(await client.workflow.getHandle(taskQueue, 'waits', id));

    await begin('waits', 'taken');
    await begin('waits', 'taken', { workflowIdConflictPolicy: 'TERMINATE_EXISTING' });
    await engine.run('ends', ['taken'], { workflowId: 'ender' });
    const back = await begin('waits', 'back');
    const again = await back.reset({ toEntry: 0 });
    await engine.waits(again);
    await (await again.reset({ toEntry: -1 })).signal('go');
    await engine.run('greets', ['you'], { workflowId: 'last' });

    const of = ({ events }: ReturnType<typeof told>, id: string) =>
      events
        .filter((event) => event.workflow_id === id)
        .map(({ type, data }) => `${type.split('.').at(-1)} ${data.run}`);
    const ended = (id: string) =>
      [byWorker, byClient].some((one) => of(one, id).some((what) => !/started|continued/.test(what)));
    const all = 'late late-chain elsewhere family family-child brief-ends brief-cancels back last'.split(' ');
    await until('all was told', () => all.every(ended) && of(byWorker, 'taken').length === 3);
    const endOf = (id: string) => of(byWorker, id).filter((what) => what !== 'started 0');
    expect([...endOf('late'), ...endOf('late-chain')]).toEqual(['failed 0', 'failed 0']);
    expect(of(byWorker, 'elsewhere')).toEqual(['failed 0']);
    expect(of(byWorker, 'family')).toEqual(['started 0']);
    expect(of(byClient, 'family')).toEqual(['terminated 0']);
    expect([...of(byWorker, 'family-child'), ...of(byClient, 'family-child')]).toEqual(['started 0', 'terminated 0']);
    // each may end before it begins
    expect([...endOf('brief-ends'), ...endOf('brief-cancels')]).toEqual(['terminated 0', 'cancelled 0']);
    expect(of(byClient, 'taken')).toEqual(['terminated 0']);
    expect(of(byWorker, 'taken')).toEqual(['started 0', 'started 1', 'terminated 1']);
    expect(of(byClient, 'back')).toEqual(['continued 0', 'started 1', 'continued 1']);
    expect(of(byWorker, 'back')).toEqual(['started 0', 'started 2', 'completed 2']);
    expect(byWorker.events.find(({ type }) => type === 'system.workflow.brief-ends.terminated')).toMatchObject({
      topic: `${taskQueue}-waits`,
      parent_id: 'brief',
      data: { workflowId: 'brief-ends', workflowName: 'waits', taskQueue, run: 0 },
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
