import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { Client, Durable, Errors, uuid, Worker, workflow } from '../src/index.js';
import { createDatabase } from './support/database.js';
import { describeInBothTempos, Engine, Journal, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();

async function echo(...args: unknown[]) {
  return args;
}

async function nothing() {}

async function approval(signalId: string) {
  return { approved: await workflow.condition(signalId) };
}

const { greet } = workflow.proxyActivities<{ greet(name: string): Promise<string> }>();

async function greeting(name: string) {
  return await greet(name);
}

async function unstorable(kind: keyof typeof unstorables) {
  journal.note(workflow.workflowInfo().workflowId);
  return unstorables[kind]();
}

const circle: { self?: unknown } = {};
circle.self = circle;

const unstorables = {
  function: () => ({ a: { b: () => 1 } }),
  symbol: () => Symbol('s'),
  bigint: () => ({ a: { b: 1n } }),
  circle: () => ({ a: circle }),
  map: () => new Map([[1, 2]]),
  promise: () => ({ later: Promise.resolve(1) }),
  large: () => 'x'.repeat(8 * 1024 * 1024),
};

async function unstorableActivity(kind: keyof typeof unstorables) {
  const { make } = workflow.proxyActivities<{ make(kind: string): Promise<unknown> }>({
    retry: { ...retryAtOnce, maximumAttempts: 1 },
  });
  return await make(kind);
}

async function unstorableArgument() {
  try {
    await greet({ deep: [() => 1] } as unknown as string);
    return 'stored';
  } catch (error) {
    return { name: (error as Error).name, message: (error as Error).message, next: await greet('again') };
  }
}

const workflows = { echo, nothing, approval, greeting, unstorable, unstorableActivity, unstorableArgument };
const activities = {
  greet: async (name: string) => `Hello, ${name}`,
  make: async (kind: keyof typeof unstorables) => unstorables[kind](),
};

describeInBothTempos('a workflow', { workflow: workflows, activities }, (engine) => {
  it('runs with its arguments and gives its result', async () => {
    expect(await engine().run('greeting', ['Ada'])).toBe('Hello, Ada');
  });

  it.each([
    ['text that looks like another engine’s scalars', ['/table', '/d5', '/sx', '/n', '']],
    ['numbers', [0, -0.5, 1e300, Number.MAX_SAFE_INTEGER]],
    ['characters that Postgres or UTF-8 refuse', ['\0', 'a\ud800', '\u2028', '😀']],
    ['keys that touch prototypes', [JSON.parse('{"__proto__":{"polluted":1},"then":1,"toJSON":2,"constructor":3}')]],
    ['nothing', [null, [], {}, false]],
  ])('keeps %s as it is', async (_, args) => {
    expect(await engine().run('echo', args)).toEqual(args);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('turns what JSON cannot say into what it can', async () => {
    const date = new Date(1_700_000_000_000);
    expect(await engine().run('echo', [undefined, date, { gone: undefined, kept: 1 }])).toEqual([
      null,
      date.toISOString(),
      { kept: 1 },
    ]);
  });

  it('gives undefined when it returns nothing, and an empty text when it returns that', async () => {
    expect(await engine().run('nothing')).toBeUndefined();
    const [empty] = await engine().run<string[]>('echo', ['']);
    expect(empty).toBe('');
  });

  it('gives its result to everybody who asks, while it runs and later', async () => {
    const handle = await engine().start('approval', ['everybody']);
    const early = [handle.result(), handle.result()];
    await engine().awaitsSignal(handle, 'everybody');
    await handle.signal('everybody', 'yes');
    expect(await Promise.all([...early, handle.result(), handle.result({ state: true })])).toEqual(
      Array(4).fill({ approved: 'yes' }),
    );
  });

  it('tells its status and state while it waits and when it has ended', async () => {
    const handle = await engine().start('approval', ['status']);
    await engine().awaitsSignal(handle, 'status');
    expect(await handle.status()).toBeGreaterThan(0);
    expect(await handle.state()).toMatchObject({ done: false, workflowId: handle.workflowId });
    await handle.signal('status', 1);
    await engine().result(handle);
    expect(await handle.status()).toBe(0);
    const { data, metadata } = await handle.state(true);
    expect(data).toMatchObject({ done: true, response: { approved: 1 }, workflowId: handle.workflowId });
    expect(data.jc).toMatch(/^\d{14}\.\d{3}$/);
    expect(data.ju >= data.jc).toBe(true);
    expect(metadata).toMatchObject({ jid: handle.workflowId, js: 0, app: 'durable' });
  });

  it.each([undefined, true, false])('has status 0 at its end with signalIn: %s', async (signalIn) => {
    const handle = await engine().start('nothing', [], signalIn === undefined ? {} : { signalIn });
    await engine().result(handle);
    expect(await handle.status()).toBe(0);
  });

  it('is reached by its id alone', async () => {
    const started = await engine().start('approval', ['by id']);
    const handle = await engine().client.workflow.getHandle('test', 'approval', started.workflowId);
    expect(handle.workflowTopic).toBe('test-approval');
    await engine().awaitsSignal(handle, 'by id');
    await handle.signal('by id', 2);
    expect(await engine().result(handle)).toEqual({ approved: 2 });
  });

  it('keeps its id to itself, while it runs and when it has ended', async () => {
    const workflowId = uuid();
    const handle = await engine().start('approval', ['duplicate'], { workflowId });
    const again = () => engine().start('echo', [], { workflowId });
    await expect(again()).rejects.toThrow(Errors.DuplicateJobError);
    await expect(again()).rejects.toMatchObject({ message: `Duplicate job: ${workflowId}`, jobId: workflowId });
    await engine().awaitsSignal(handle, 'duplicate');
    await handle.signal('duplicate');
    await engine().result(handle);
    await expect(again()).rejects.toThrow(Errors.DuplicateJobError);
  });

  it('is started once by many who use its id at the same moment', async () => {
    const workflowId = uuid();
    const starts = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) => engine().start('echo', [n], { workflowId })),
    );
    const started = starts.filter(({ status }) => status === 'fulfilled');
    const refused = starts.filter((start) => start.status === 'rejected');
    expect([started.length, refused.length]).toEqual([1, 19]);
    for (const { reason } of refused) expect(reason).toBeInstanceOf(Errors.DuplicateJobError);
  });

  it.each([undefined, '', null])('gets an id when it is started with %j', async (workflowId) => {
    const options = workflowId === undefined ? {} : { workflowId: workflowId as string };
    const [one, other] = await Promise.all([
      engine().start('nothing', [], options),
      engine().start('nothing', [], options),
    ]);
    expect(one.workflowId).not.toBe('');
    expect(one.workflowId).not.toBe(other.workflowId);
  });

  it('may be reserved: it runs when it is started, with what it is started with', async () => {
    const workflowId = uuid();
    const reserved = await engine().start('echo', [], { workflowId, pending: 60, search: { data: { a: '1' } } });
    expect(await reserved.status()).toBe(-1);
    await expect(engine().start('echo', [], { workflowId, pending: 60 })).rejects.toThrow(Errors.DuplicateJobError);
    const waiting = reserved.result();
    const started = await engine().start('echo', ['now'], { workflowId });
    expect(await engine().result(started)).toEqual(['now']);
    expect(await waiting).toEqual(['now']);
    await expect(engine().start('echo', [], { workflowId })).rejects.toThrow(Errors.DuplicateJobError);
  });

  it('may be reserved anew when a reservation has lapsed', async () => {
    const workflowId = uuid();
    await engine().start('echo', [], { workflowId, pending: 0.05 });
    await until('the reservation has lapsed', async () => {
      const again = await engine()
        .start('echo', [], { workflowId, pending: 60 })
        .catch(() => null);
      return again !== null;
    });
  });

  it.each([
    ['function', 'result.a.b is a function'],
    ['symbol', 'result is a symbol'],
    ['bigint', 'result.a.b is a BigInt'],
    ['circle', 'circular reference'],
    ['map', 'result is a Map'],
    ['promise', 'result.later is a promise'],
    ['large', 'the limit is 8388608'],
  ])('fails clearly, once, when its result is a %s', async (kind, message) => {
    const handle = await engine().start('unstorable', [kind]);
    const error = await engine().failure(handle);
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ name: kind === 'large' ? 'PayloadTooLargeError' : 'PayloadError', code: 598 });
    expect(await handle.status()).toBe(0);
    expect(journal.count(handle.workflowId)).toBe(1);
  });

  it('is told when an activity’s result cannot be stored', async () => {
    const error = await engine().failure(await engine().start('unstorableActivity', ['bigint']));
    expect(error).toBeInstanceOf(Errors.DurableFatalError);
    expect(error.message).toContain('result.a.b is a BigInt');
  });

  it('is told when an argument cannot be stored, and goes on', async () => {
    expect(await engine().run('unstorableArgument')).toEqual({
      name: 'PayloadError',
      message: expect.stringContaining('args[0].deep[0] is a function'),
      next: 'Hello, again',
    });
  });

  it('of an unknown id has no result, no state and no status', async () => {
    const handle = await engine().client.workflow.getHandle('test', 'echo', 'nobody');
    await expect(handle.result()).rejects.toMatchObject({ name: 'GetStateError', code: 404 });
    await expect(handle.state()).rejects.toMatchObject({ name: 'GetStateError', message: 'nobody Not Found' });
    await expect(handle.status()).rejects.toThrow('Job nobody not found');
    await expect(handle.signal('s')).rejects.toMatchObject({ name: 'GetStateError', code: 404 });
    await expect(handle.cancel()).resolves.toBeUndefined();
    await expect(handle.terminate()).rejects.toThrow('Job nobody not found');
    await expect(handle.terminate({ suppress: true })).resolves.toBeUndefined();
  });
});

describe('a worker', () => {
  it('may come after the workflow was started', async () => {
    const engine = await Engine.withoutWorker();
    const handle = await engine.start('greeting', ['early']);
    await engine.addWorker({ workflow: greeting, activities });
    expect(await engine.result(handle)).toBe('Hello, early');
    await engine.close();
  });

  it('leaves a function that it does not have to whoever has it', async () => {
    const engine = await Engine.open({ workflow: { echo } });
    const handle = await engine.start('greeting', ['late']);
    await engine.run('echo');
    expect(await handle.status()).toBe(1);
    await engine.addWorker({ workflow: { greeting }, activities });
    expect(await engine.result(handle)).toBe('Hello, late');
    await engine.close();
  });

  it('serves every function of an object, and a default export by its function’s name', async () => {
    const engine = await Engine.open({ workflow: { echo, renamed: nothing, default: greeting }, activities });
    expect(await engine.run('echo', [1])).toEqual([1]);
    expect(await engine.run('renamed')).toBeUndefined();
    expect(await engine.run('greeting', ['default'])).toBe('Hello, default');
    await engine.close();
  });

  it('makes the schema on an empty database, as a client does', async () => {
    const database = await createDatabase();
    const connection = { class: pg.Pool, options: { connectionString: database.url } };
    const client = new Durable.Client({ connection });
    const [handle, worker] = await Promise.all([
      client.workflow.start({ taskQueue: 'test', workflowName: 'echo', args: ['first'] }),
      Durable.Worker.create({ connection, taskQueue: 'test', workflow: echo, options: { logLevel: 'silent' } }),
    ]);
    expect(await handle.result()).toEqual(['first']);
    await worker.stop();
    await client.close();
    await database.drop();
  });

  it('serves its own namespace only', async () => {
    const engine = await Engine.open({ workflow: { where: async () => workflow.workflowInfo().namespace } });
    const other = await Worker.create({
      connection: engine.connection,
      namespace: 'other-one',
      taskQueue: 'test',
      workflow: { where: async () => `${workflow.workflowInfo().namespace}!` },
      options: { logLevel: 'silent' },
    });
    const workflowId = 'the same id';
    const here = await engine.start('where', [], { workflowId });
    const there = await engine.start('where', [], { workflowId, namespace: 'other-one' });
    expect([await engine.result(here), await there.result()]).toEqual(['durable', 'other-one!']);
    const client = new Client({ connection: engine.connection, namespace: 'other-one' });
    const handle = await client.workflow.getHandle('test', 'where', workflowId);
    expect(await handle.result()).toBe('other-one!');
    await other.stop();
    await client.close();
    await engine.close();
  });
});
