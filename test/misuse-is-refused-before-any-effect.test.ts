import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import {
  Client,
  type ConnectionOptions,
  Errors,
  guid,
  proxyActivities,
  registerActivityWorker,
  type StartOptions,
  Worker,
  workflow,
} from '../src/index.js';
import { Engine } from './support/worker.js';

const century = 100 * 365.25 * 24 * 3600;

/** Nothing listens there: whatever is refused was refused before a connection was tried. */
const nowhere = { class: pg.Client, options: { host: '127.0.0.1', port: 1 } };

async function aWorkflow() {}

/** Where it stands decides the name of a function: this one has none. */
const [anonymous] = [() => 1];

describe('without a database', () => {
  const client = new Client({ connection: nowhere });
  const usual = { taskQueue: 'q', workflowName: 'w', args: [] };
  const circle: unknown[] = [];
  circle.push({ a: circle });

  afterAll(() => void client.close()); // it is still trying to connect

  it.each<[unknown, string]>([
    [{ ...usual, workflowID: 'x' }, 'start: unknown option "workflowID"; did you mean "workflowId"?'],
    [{ ...usual, taskqueue: 'x' }, 'start: unknown option "taskqueue"; did you mean "taskQueue"?'],
    [
      { ...usual, config: { maxAttempts: 1 } },
      'start: unknown option "config.maxAttempts"; did you mean "config.maximumAttempts"?',
    ],
    [{ ...usual, quite: 'other' }, 'start: unknown option "quite"; known are '],
    [undefined, 'start: options must be an object; got undefined'],
    [null, 'start: options must be an object; got null'],
    [[], 'start: options must be an object; got an array'],
    [{ workflowName: 'w', args: [] }, 'start: taskQueue must be given'],
    [{ taskQueue: 'q', args: [] }, 'start: workflowName must be given'],
    [{ ...usual, taskQueue: '' }, 'start: taskQueue must be text of 1 to 512 bytes'],
    [{ ...usual, workflowName: 7 }, 'start: workflowName must be text of 1 to 512 bytes'],
    [{ ...usual, workflowId: 7 }, 'start: workflowId must be'],
    [{ ...usual, workflowId: 'é'.repeat(257) }, 'start: workflowId must be text of 1 to 512 bytes'],
    [{ ...usual, workflowId: 'a\0b' }, 'start: workflowId must be'],
    [{ ...usual, workflowId: 'a\ud800' }, 'start: workflowId must be'],
    [{ taskQueue: 'q', workflowName: 'w' }, 'start: args must be an array'],
    [{ ...usual, args: 'text' }, 'start: args must be an array'],
    [{ ...usual, args: { 0: 1, length: 1 } }, 'start: args must be an array'],
    [
      { ...usual, transaction: 7 },
      'start: transaction must be a client inside its transaction; got 7. Pass the client',
    ],
    [
      { ...usual, transaction: new pg.Pool() },
      'start: transaction must be a client inside its transaction; got a Pool',
    ],
    [{ ...usual, expire: -1 }, 'start: expire must be a number of seconds from 0 to 100 years; got -1'],
    [{ ...usual, expire: Number.NaN }, 'start: expire must be a number of seconds from 0 to 100 years; got NaN'],
    [{ ...usual, expire: century * 1.01 }, 'start: expire must be a number of seconds from 0 to 100 years'],
    [{ ...usual, expire: '1h' }, 'start: expire must be a number of seconds from 0 to 100 years; got "1h"'],
    [{ ...usual, pending: -1 }, 'start: pending must be'],
    [{ ...usual, pending: Number.POSITIVE_INFINITY }, 'start: pending must be'],
    [{ ...usual, signalIn: 'yes' }, 'start: signalIn must be true or false'],
    [{ ...usual, search: { data: { a: {} } } }, 'start: search.data.a must be'],
    [{ ...usual, search: { data: { a: 'x\0' } } }, 'search.data'],
    [{ ...usual, namespace: 'a' }, 'config.appId [a] is reserved'],
    [{ ...usual, namespace: 'with space' }, 'config.appId [with space] is invalid'],
    [{ ...usual, namespace: 'public' }, 'is reserved'],
    [{ ...usual, config: { maximumAttempts: -1 } }, 'start: config.maximumAttempts must be a whole number from 0'],
    [{ ...usual, config: { maximumAttempts: 1.5 } }, 'start: config.maximumAttempts must be a whole number from 0'],
    [
      { ...usual, config: { maximumAttempts: Number.NaN } },
      'start: config.maximumAttempts must be a whole number from 0',
    ],
    [{ ...usual, config: { backoffCoefficient: 0.5 } }, 'start: config.backoffCoefficient must be a number from 1'],
    [{ ...usual, config: { initialInterval: 'soon' } }, 'start: config.initialInterval must be a duration'],
    [{ ...usual, config: { initialInterval: -1 } }, 'start: config.initialInterval must be a duration'],
    [
      { ...usual, config: { initialInterval: '10s', maximumInterval: '5s' } },
      'start: config.maximumInterval must be at least as long as initialInterval',
    ],
  ])('start(%o) is refused', async (options, message) => {
    const started = client.workflow.start(options as StartOptions);
    await expect(started).rejects.toThrow(Errors.InvalidArgumentError);
    await expect(started).rejects.toThrow(message);
  });

  it.each<[string, unknown, string]>([
    ['a function', [{ a: { b: () => 1 } }], 'args[0].a.b is a function'],
    ['a symbol', [Symbol('s')], 'args[0] is a symbol'],
    ['a BigInt', [{ a: { b: 1n } }], 'args[0].a.b is a BigInt; convert it'],
    ['a cycle', circle, 'circular reference'],
    ['a Map', [new Map()], 'args[0] is a Map'],
    ['a promise', [Promise.resolve()], 'args[0] is a promise'],
    ['too many bytes', ['x'.repeat(9 * 1024 * 1024)], 'the limit is 8388608'],
    ['a tower', [tower(600)], 'nested deeper than 500'],
  ])('start with %s among its arguments is refused by path', async (_, args, message) => {
    const started = client.workflow.start({ ...usual, args: args as unknown[] });
    await expect(started).rejects.toThrow(Errors.PayloadError);
    await expect(started).rejects.toThrow(message);
  });

  it.each<[string, unknown[], string]>([
    ['no id', [undefined], 'signal: signalId must be text of 1 to 512 bytes'],
    ['a lone surrogate', ['\udfff'], 'signal: signalId must be'],
    ['a function as data', ['s', () => 1], 'data is a function'],
    ['a negative length of life', ['s', 1, undefined, 'never'], 'signal: expire must be a duration'],
    ['a length of life beyond 100 years', ['s', 1, undefined, '101y'], 'signal: expire must be a duration'],
  ])('signal with %s is refused', async (_, args, message) => {
    const call = client.workflow.signal as (...args: unknown[]) => Promise<unknown>;
    await expect(call(...args)).rejects.toThrow(message);
    const handle = await client.workflow.getHandle('q', 'w', 'id');
    const [id, data, , expire] = args;
    await expect(
      (handle.signal as (...args: unknown[]) => Promise<unknown>).call(handle, id, data, expire),
    ).rejects.toThrow(message);
  });

  it.each<[unknown[], string]>([
    [[], 'getHandle: taskQueue must be'],
    [['q', ''], 'getHandle: workflowName must be'],
    [['q', 'w'], 'getHandle: workflowId must be'],
  ])('getHandle(...%j) is refused', async (args, message) => {
    await expect((client.workflow.getHandle as (...args: unknown[]) => Promise<unknown>)(...args)).rejects.toThrow(
      message,
    );
  });

  it.each(['pause', 'resume', 'cancel', 'terminate', 'retry', 'reset'] as const)(
    'bulk.%s of what is no filter is refused: it must not come to mean all',
    async (call) => {
      for (const filter of [
        undefined,
        null,
        [],
        7,
        true,
        'x',
        () => 1,
        new Map([['queue', 'q']]),
        new Date(0),
        Promise.resolve({}),
      ])
        await expect(
          client.workflow.bulk[call](filter as never, (call === 'reset' ? { toEntry: 1 } : {}) as never),
        ).rejects.toThrow(Errors.InvalidArgumentError);
    },
  );

  it('options of a handle are checked', async () => {
    const handle = await client.workflow.getHandle('q', 'w', 'id');
    await expect(handle.result({ throwOnerror: false } as object)).rejects.toThrow('did you mean "throwOnError"?');
    await expect(handle.state('yes' as never)).rejects.toThrow('state: metadata must be true or false; got "yes"');
    await expect(handle.terminate({ reason: 7 } as object)).rejects.toThrow('terminate: reason must be text; got 7');
    await expect(handle.terminate({ code: 1.5 })).rejects.toThrow('terminate: code must be a whole number');
    await expect(handle.terminate({ expire: -1 })).rejects.toThrow('terminate: expire must be');
  });

  it.each<[unknown, string]>([
    [undefined, 'Client: options must be an object; got undefined'],
    [{}, 'Client: connection must be'],
    [{ connection: nowhere, nameSpace: 'x' }, 'Client: unknown option "nameSpace"; did you mean "namespace"?'],
    [{ connection: nowhere, namespace: 'a b' }, 'config.appId [a b] is invalid'],
  ])('new Client(%o) is refused', (options, message) => {
    expect(() => new Client(options as { connection: ConnectionOptions })).toThrow(message);
  });

  it.each<[unknown, string]>([
    [{ class: class Redis {}, options: {} }, 'Unable to identify provider type'],
    [{ class: new pg.Client(), options: {} }, 'an instance of Client; pass the class'],
    [{ options: {} }, 'Unable to identify provider type'],
    [{ class: pg.Client, options: 'postgres://' }, 'connection: options must be an object'],
    [{ class: pg.Client, pooler: 'session' }, "connection: pooler must be 'transaction'"],
  ])('a connection %o is refused at the first call', async (connection, message) => {
    const wrong = new Client({ connection: connection as ConnectionOptions });
    await expect(wrong.workflow.start({ ...usual })).rejects.toThrow(message);
    await wrong.close();
  });

  const worker = { connection: nowhere, taskQueue: 'q', workflow: aWorkflow };

  it.each<[unknown, string]>([
    [undefined, 'Worker.create: options must be an object; got undefined'],
    [{ ...worker, taskQueue: undefined }, 'Worker.create: taskQueue must be'],
    [{ ...worker, workflow: undefined }, 'Worker.create: workflow must be a function or an object of functions'],
    [{ ...worker, workflow: {} }, 'Worker.create: workflow has no function'],
    [{ ...worker, workflow: anonymous }, 'anonymous'],
    [{ ...worker, workflow: { default: anonymous } }, 'anonymous'],
    [{ ...worker, workflow: { a: 1 } }, 'Worker.create: workflow.a must be a function; got number'],
    [{ ...worker, workflow: { aWorkflow, default: aWorkflow } }, 'two functions named "aWorkflow"'],
    [{ ...worker, activities: { a: 'x' } }, 'Worker.create: activities.a must be a function; got string'],
    [{ ...worker, workflows: aWorkflow }, 'Worker.create: unknown option "workflows"; did you mean "workflow"?'],
    [{ ...worker, namespace: 'a' }, 'is reserved'],
    [{ ...worker, options: { maxCachedWorkflow: 1 } }, 'did you mean "options.maxCachedWorkflows"?'],
    [
      { ...worker, options: { maxConcurrentWorkflows: 0 } },
      'options.maxConcurrentWorkflows must be a whole number from 1',
    ],
    [
      { ...worker, options: { maxConcurrentActivities: -1 } },
      'options.maxConcurrentActivities must be a whole number from 0',
    ],
    [{ ...worker, options: { maxCachedWorkflows: 1.5 } }, 'options.maxCachedWorkflows must be a whole number from 0'],
    [{ ...worker, options: { leaseDuration: 'x' } }, 'options.leaseDuration must be a duration'],
    [{ ...worker, options: { parkAfter: -1 } }, 'options.parkAfter must be a duration'],
    [
      { ...worker, options: { determinism: 'loud' } },
      "options.determinism must be 'off', 'warn' or 'strict'; got \"loud\"",
    ],
    [{ ...worker, options: { notifications: 1 } }, 'options.notifications must be true or false'],
    [
      { ...worker, options: { logLevel: 'loud' } },
      'options.logLevel must be silent, error, warn, info, debug or trace; got "loud"',
    ],
    [{ ...worker, options: { maximumAttempts: -1 } }, 'options.maximumAttempts must be a whole number from 0'],
  ])('Worker.create(%o) is refused', async (options, message) => {
    const created = Worker.create(options as Parameters<typeof Worker.create>[0]);
    await expect(created).rejects.toThrow(Errors.InvalidArgumentError);
    await expect(created).rejects.toThrow(message);
  });

  it.each<[unknown, unknown, string]>([
    [{ connection: nowhere }, {}, 'registerActivityWorker: activities has no function'],
    [{ connection: nowhere }, anonymous, 'anonymous'],
    [{ connection: nowhere, taskQueue: '' }, { aWorkflow }, 'registerActivityWorker: taskQueue must be'],
    [{ connection: nowhere, taskqueue: 'x' }, { aWorkflow }, 'did you mean "taskQueue"?'],
  ])('registerActivityWorker(%o, %o) is refused', async (config, activities, message) => {
    const made = (registerActivityWorker as (...args: unknown[]) => Promise<unknown>)(config, activities);
    await expect(made).rejects.toThrow(message);
  });

  it.each<[unknown, string]>([
    [{ retrys: {} }, 'proxyActivities: unknown option "retrys"; did you mean "retry"?'],
    [{ retry: { maximumAttempts: -1 } }, 'proxyActivities: retry.maximumAttempts must be a whole number from 0'],
    [{ retryPolicy: { maximumAttempts: -1 } }, 'proxyActivities: retryPolicy.maximumAttempts must be'],
    [{ startToCloseTimeout: -1 }, 'proxyActivities: startToCloseTimeout must be a duration'],
    [{ startToCloseTimeout: 'soon' }, 'proxyActivities: startToCloseTimeout must be a duration'],
    [{ taskQueue: '' }, 'proxyActivities: taskQueue must be'],
    [{ headers: { a: () => 1 } }, 'headers.a is a function'],
    [{ activities: { a: 1 } }, 'proxyActivities: activities.a must be a function; got number'],
  ])('proxyActivities(%o) is refused', (options, message) => {
    expect(() => proxyActivities(options as object)).toThrow(message);
  });

  it.each([0, -1, 1.5, Number.NaN])('guid(%s) is refused', (size) => {
    expect(() => guid(size)).toThrow(Errors.InvalidArgumentError);
  });

  it('a database that is not there is a ConnectionError, with its cause and without the password', async () => {
    const { hostname, port } = new URL(inject('cluster').url);
    const options = { host: hostname, port: Number(port), user: 'postgres', password: 'very secret', database: 'none' };
    const there = new Client({ connection: { class: pg.Client, options } });
    const error = (await there.workflow.start(usual).catch((error: unknown) => error)) as Error & { cause?: Error };
    await there.close();
    expect(error).toBeInstanceOf(Errors.ConnectionError);
    expect(error.message).toBe('postgres-provider-connection-failed: database "none" does not exist');
    expect(error.cause).toBeInstanceOf(Error);
    expect(JSON.stringify([error.message, String(error.cause), error.stack])).not.toContain('very secret');
  });
});

describe('in a workflow', () => {
  let engine: Engine;
  const calls: Record<string, (...args: never[]) => unknown> = {
    sleep: workflow.sleep,
    condition: workflow.condition,
    signal: workflow.signal,
    patched: workflow.patched,
    continueAsNew: workflow.continueAsNew,
    proxyActivities: async (options: object) => proxyActivities(options),
    call: async (argument: unknown) =>
      proxyActivities<{ act(argument: unknown): Promise<unknown> }>().act(unstorable(argument)),
    guid: async (size: number) => guid(size),
  };

  async function misuse(call: string, args: unknown[]) {
    try {
      await (calls[call] as (...args: unknown[]) => unknown)(...args.map(unstorable));
      return 'accepted';
    } catch (error) {
      const { name, message } = error as Error;
      return { name, message, goesOn: await workflow.sleep(1) };
    }
  }

  beforeAll(async () => {
    engine = await Engine.open({ workflow: { misuse } });
  });
  afterAll(() => engine.close());

  it.concurrent.each<[string, unknown[], string, string]>([
    ['sleep', ['soon'], 'sleep: duration must be a duration of at most 100 years; got "soon"', 'InvalidArgumentError'],
    ['sleep', [''], 'sleep: duration must be', 'InvalidArgumentError'],
    ['sleep', [null], 'sleep: duration must be', 'InvalidArgumentError'],
    ['sleep', ['NaN!'], 'sleep: duration must be', 'InvalidArgumentError'],
    ['sleep', ['Infinity!'], 'sleep: duration must be', 'InvalidArgumentError'],
    ['sleep', ['101y'], 'sleep: duration must be', 'InvalidArgumentError'],
    ['sleep', [{}], 'sleep: duration must be', 'InvalidArgumentError'],
    ['condition', [''], 'condition: signalId must be', 'InvalidArgumentError'],
    ['condition', [7], 'condition: signalId must be', 'InvalidArgumentError'],
    ['condition', ['x', 'soon'], 'condition: timeout must be a duration', 'InvalidArgumentError'],
    ['condition', ['x', null], 'condition: timeout must be a duration; got null', 'InvalidArgumentError'],
    [
      'condition',
      ['x', { timeOut: 1 }],
      'condition: unknown option "timeOut"; did you mean "timeout"?',
      'InvalidArgumentError',
    ],
    ['condition', ['x', { timeout: 'NaN!' }], 'condition: timeout must be a duration', 'InvalidArgumentError'],
    ['signal', ['a\ud800'], 'signal: signalId must be', 'InvalidArgumentError'],
    ['signal', ['x', 'function!'], 'data is a function', 'PayloadError'],
    ['signal', ['x', 1, '101y'], 'signal: expire must be a duration', 'InvalidArgumentError'],
    ['patched', [''], 'patched: changeId must be', 'InvalidArgumentError'],
    ['continueAsNew', ['bigint!'], 'args[0] is a BigInt', 'PayloadError'],
    [
      'proxyActivities',
      [{ retry: { initialInterval: 'x' } }],
      'proxyActivities: retry.initialInterval must be',
      'InvalidArgumentError',
    ],
    ['call', ['bigint!'], 'args[0] is a BigInt', 'PayloadError'],
    ['call', ['large!'], 'the limit is 8388608', 'PayloadTooLargeError'],
    ['guid', [0], 'guid', 'InvalidArgumentError'],
  ])('%s(...%j) rejects the call, and the workflow goes on', async (call, args, message, name) => {
    const seen = await engine.run('misuse', [call, args]);
    expect(seen).toEqual({ name, message: expect.stringContaining(message), goesOn: 0.001 });
  });

  it('nothing of it was registered or stored', async () => {
    expect(await engine.sql('select from wait')).toEqual([]);
    expect(await engine.sql('select from signal')).toEqual([]);
    expect(await engine.sql(`select from execution where state <> 'completed'`)).toEqual([]);
  });
});

describe('an embedded database', () => {
  it('is recognised by class and by instance', async () => {
    const db = new PGlite();
    const client = new Client({ connection: { class: db } });
    await expect(client.workflow.start({ taskQueue: 'q', workflowName: 'w', args: 1 as never })).rejects.toThrow(
      'args',
    );
    await client.close();
    await db.close();
  });
});

/** What cannot be an argument of a workflow is made inside it. */
function unstorable(value: unknown): unknown {
  if (value === 'NaN!') return Number.NaN;
  if (value === 'Infinity!') return Number.POSITIVE_INFINITY;
  if (value === 'bigint!') return 1n;
  if (value === 'function!') return () => 1;
  if (value === 'large!') return 'x'.repeat(9 * 1024 * 1024);
  if (typeof value === 'object' && value !== null && 'timeout' in value) return { timeout: unstorable(value.timeout) };
  return value;
}

function tower(levels: number): unknown {
  let top: unknown = 1;
  for (let n = 0; n < levels; n++) top = [top];
  return top;
}
