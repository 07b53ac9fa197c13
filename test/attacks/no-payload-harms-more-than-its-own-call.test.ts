/** S25 to S31: values, keys, errors and lengths that would pollute, overflow, exhaust or mislead whoever touches them. */

import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { Client, Durable, Errors, type StartOptions, uuid } from '../../src/index.js';
import { thrownBy } from '../support/attacker.js';
import { SCHEMA } from '../support/protocol-session.js';
import { engineForAll } from '../support/worker.js';

/** As text, so that the keys are own ones. */
const POLLUTING = `{"__proto__":{"polluted":"yes"},"constructor":{"prototype":{"polluted":"yes"}},"prototype":{"polluted":"yes"},
  "then":1,"toJSON":"x","toString":"x","valueOf":null,"hasOwnProperty":false}`;
const polluting = () => JSON.parse(POLLUTING) as Record<string, unknown>;
const HUGE = 100 * 1024 * 1024;

const activities = {
  echo: async (value: unknown) => ({ value, headers: Durable.activity.getContext().headers }),
  huge: async () => 'x'.repeat(HUGE),
  deep: async () => tower(10_000),
  async throws(what: keyof typeof thrown) {
    throw thrown[what]();
  },
};
const { echo, huge, deep, throws } = Durable.workflow.proxyActivities<typeof activities>({
  activities,
  retry: { maximumAttempts: 1, initialInterval: 1 },
  headers: { h: polluting() },
});

/** What is thrown that is no ordinary error. */
const thrown = {
  getters: () =>
    Object.defineProperties(new Error('plain'), {
      message: {
        get: () => {
          throw new Error('a getter of the message');
        },
      },
      stack: {
        get: () => {
          throw new Error('a getter of the stack');
        },
      },
      details: {
        enumerable: true,
        get: () => {
          throw new Error('a getter of a field');
        },
      },
    }),
  cycle: () => {
    const error = new Error('goes round');
    error.cause = new Error('and round', { cause: error });
    return error;
  },
  proxy: () =>
    new Proxy(
      {},
      {
        get: () => {
          throw new Error('no');
        },
        ownKeys: () => {
          throw new Error('no');
        },
        getPrototypeOf: () => {
          throw new Error('no');
        },
      },
    ),
  revoked: () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  stack: () => Object.assign(new Error('long stack'), { stack: 'x'.repeat(10 * 1024 * 1024) }),
  message: () => new Error('m'.repeat(HUGE)),
  fields: () => Object.assign(new Error('polluting'), polluting()),
  nothing: () => undefined,
  // biome-ignore lint/suspicious/noThenProperty: that is what is tried
  thenable: () => ({ then: 'x', message: 7 }),
};

async function roundTrip(value: unknown) {
  const told = await echo(value);
  const signalled = await Durable.workflow.condition(`go-${Durable.workflow.workflowInfo().workflowId}`);
  const entity = await Durable.workflow.entity();
  await entity.set({ a: value as never });
  await entity.merge({ a: value as never, b: { c: value as never } });
  return { told, signalled, stored: await entity.get('b.c') };
}

async function survives(what: 'huge' | 'deep' | keyof typeof thrown) {
  try {
    await (what === 'huge' ? huge() : what === 'deep' ? deep() : throws(what));
    return 'nothing was thrown';
  } catch (error) {
    const { name, message, stack } = error as Error;
    return { name, length: message.length, stack: stack?.length ?? 0, begins: message.slice(0, 60) };
  }
}

async function touches(path: string) {
  const entity = await Durable.workflow.entity();
  const fields = await Durable.workflow.search();
  const tried: string[] = [];
  for (const call of [
    () => entity.get(path),
    () => entity.delete(path),
    () => entity.append(path, 1),
    () => entity.increment(path),
    () => fields.set({ [path]: 'x' }),
    () => fields.incr(path, 1),
  ])
    tried.push(
      await call().then(
        () => 'done',
        (error: Error) => error.name,
      ),
    );
  return tried;
}

async function returns(value: unknown) {
  return value;
}

function tower(levels: number): unknown {
  let top: unknown = 1;
  for (let n = 0; n < levels; n++) top = [top];
  return top;
}

const engine = engineForAll({ workflow: { roundTrip, survives, touches, returns }, activities });

describe('S25, S26: keys that JavaScript gives a meaning to', () => {
  it('are data wherever they go, and nothing is polluted or called', async () => {
    const handle = await engine().start('roundTrip', [polluting()]);
    await handle.signal(`go-${handle.workflowId}`, polluting());
    const result = await engine().result<Record<string, never>>(handle);
    const text = JSON.stringify(polluting());
    const { told, signalled, stored } = result as unknown as Record<string, Record<string, unknown>>;
    expect(JSON.stringify(told?.value)).toBe(text);
    expect(JSON.stringify((told?.headers as Record<string, unknown>)?.h)).toBe(text);
    expect(JSON.stringify(signalled)).toBe(text);
    // jsonb orders keys
    expect(Object.entries(stored ?? {}).sort()).toEqual(Object.entries(polluting()).sort());
    expect(Object.hasOwn(signalled as object, '__proto__')).toBe(true);
    for (const plain of [{}, [], () => {}, result, signalled])
      expect((plain as { polluted?: unknown }).polluted).toBeUndefined();
    expect(JSON.stringify(await handle.exportExecution())).toContain('polluted');
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('are refused as a field and as a path where a document could not tell them from its own', async () => {
    expect(await engine().run('touches', ['__proto__'])).toEqual(Array(6).fill('InvalidArgumentError'));
    expect(await engine().run('touches', ['a.__proto__.b'])).toEqual([
      ...Array(4).fill('InvalidArgumentError'),
      'done',
      'DocumentError',
    ]);
    expect(await engine().run('touches', ['constructor'])).toEqual([
      'done',
      'done',
      'done',
      'DocumentError',
      'done',
      'DocumentError',
    ]);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it('are refused as options', async () => {
    for (const key of ['__proto__', 'constructor', 'toString'])
      await expect(
        engine().client.workflow.start(
          JSON.parse(`{"taskQueue":"q","workflowName":"w","args":[],"${key}":{"namespace":"x"}}`) as StartOptions,
        ),
      ).rejects.toThrow(`start: unknown option "${key}"`);
  });
});

describe('S28, S29: values too deep and too large', () => {
  it.each([
    ['huge', 'PayloadTooLargeError'],
    ['deep', 'PayloadError'],
  ])('as the result of an activity (%s) are its failure', async (what, name) => {
    expect(JSON.stringify(await engine().run('survives', [what]))).toContain(
      name === 'PayloadError' ? 'deeper than 500' : '8388608',
    );
  });

  it('given to a client are refused before anything is sent', async () => {
    const client = new Client({ connection: { class: pg.Client, options: { host: '127.0.0.1', port: 1 } } });
    const usual = { taskQueue: 'q', workflowName: 'w' };
    const big = 'x'.repeat(HUGE);
    await expect(client.workflow.start({ ...usual, args: [big] })).rejects.toThrow(Errors.PayloadTooLargeError);
    await expect(client.workflow.start({ ...usual, args: [Array(50).fill(big)] })).rejects.toThrow(
      Errors.PayloadTooLargeError,
    );
    await expect(client.workflow.start({ ...usual, args: [tower(10_000)] })).rejects.toThrow(Errors.PayloadError);
    await expect(client.workflow.signal('s', tower(10_000))).rejects.toThrow(Errors.PayloadError);
    await expect(client.workflow.start({ ...usual, args: [], search: { data: { a: big } } })).rejects.toThrow(
      Errors.PayloadTooLargeError,
    );
    await expect(client.workflow.start({ ...usual, args: [], workflowId: big })).rejects.toThrow('Shorten it');
    void client.close();
  });

  it('put into the database behind our back stop the workflow that reads them, and no other', async () => {
    const id = uuid();
    const nested = '['.repeat(10_000) + ']'.repeat(10_000);
    await engine().run('returns', [1]); // the service is known
    await engine().sql(
      `select * from ${SCHEMA}.start_in_transaction(null, json_build_object('requestNo', 77, 'workflowId', $1::text, 'taskQueue', 'test',
         'workflowName', 'returns', 'args', $2::text, 'signalIn', true))`,
      [id, nested],
    );
    const others = await Promise.all([1, 2, 3].map((n) => engine().run('returns', [n])));
    expect(others).toEqual([1, 2, 3]);
    const stopped = await engine().client.workflow.getHandle('test', 'returns', id);
    const ended = await Promise.race([
      engine()
        .failure(stopped)
        .then((error) => error.message),
      blocked(id),
    ]);
    expect(ended).toMatch(/nested deeper than 500/);
    await stopped.terminate({ suppress: true });
  });

  async function blocked(id: string): Promise<string> {
    for (;;) {
      const [row] = await engine().sql<{ reason: string | null }>(
        `select blocked_reason as reason from thread t join execution e on e.run_no = t.run_no where e.workflow_id = $1 and t.state = 'blocked'`,
        [id],
      );
      if (row !== undefined) return row.reason ?? '';
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
});

describe('S30: characters that Postgres cannot hold', () => {
  it('stay in payloads, and are refused in ids', async () => {
    const value = { 'a\0': 'x\0y', lone: '\ud800', 'k\udfff': ['\udc00\ud800'] };
    expect(await engine().run('returns', [value])).toEqual(value);
    for (const id of ['a\0', '\ud800', 'x\udfff'])
      await expect(engine().start('returns', [1], { workflowId: id })).rejects.toThrow(Errors.InvalidArgumentError);
  });
});

describe('S31: what is thrown that is no ordinary error', () => {
  it.concurrent.each(Object.keys(thrown))('(%s) is an ordinary failure, cut to a size', async (what) => {
    const seen = await engine().run<{ name: string; length: number; stack: number; begins: string }>('survives', [
      what,
    ]);
    expect(seen).toMatchObject({ name: expect.any(String), begins: expect.any(String) });
    expect(seen.length).toBeLessThan(70_000);
    expect(seen.stack).toBeLessThan(200_000);
  });
});

describe('S27: text made to make patterns backtrack', () => {
  const lengths = 1_000_000;
  const texts = [
    ' '.repeat(lengths),
    '1'.repeat(lengths),
    `${'1 '.repeat(lengths / 2)}x`,
    `-${'.'.repeat(lengths)}`,
    '\\'.repeat(lengths),
    `${'\\'.repeat(lengths)}x`,
    'a-'.repeat(lengths / 2),
    '"'.repeat(lengths),
    'e\u0301'.repeat(lengths / 2),
    `${'.'.repeat(lengths)}`,
    '%_'.repeat(lengths / 2),
  ];

  // Each quadratic pattern would take minutes for one of them.
  it('is refused, or let through, in no time', async () => {
    const client = new Client({ connection: { class: pg.Client, options: { host: '127.0.0.1', port: 1 } } });
    const usual = { taskQueue: 'q', workflowName: 'w', args: [] };
    const began = performance.now();
    for (const text of texts) {
      const calls = [
        () => client.workflow.start({ ...usual, workflowId: text }),
        () => client.workflow.start({ ...usual, taskQueue: text }),
        () => client.workflow.start({ ...usual, config: { initialInterval: text } }),
        () => client.workflow.start({ ...usual, startDelay: text }),
        () => client.workflow.start({ ...usual, namespace: text }),
        () => client.workflow.start({ ...usual, [text]: 1 } as never),
        () => client.workflow.start({ ...usual, search: { data: { [text]: 'x' } } }),
        () => client.workflow.signal(text, 1),
        () => client.workflow.signal('s', 1, undefined, text),
        () => client.workflow.list({ workflowId: { prefix: text } }),
        () => client.workflow.list({ started: { from: text } }),
        () => client.workflow.list({ entity: { where: { [text]: 1 } } }),
        () => client.workflow.list({}, { cursor: text }),
        () => client.workflow.subscribe({ pattern: text }, () => {}),
        () => client.prune({ olderThan: text }),
        () => client.activity.complete(text, 1),
        () => client.workflow.search('', '', text, 'sql', 'select 1'),
      ];
      for (const [n, call] of calls.entries()) {
        const error = await thrownBy(call);
        expect(error, `call ${n}`).toBeInstanceOf(Errors.InvalidArgumentError);
        expect((error as Error).message.length).toBeLessThan(2_000);
      }
    }
    expect(performance.now() - began).toBeLessThan(20_000);
    void client.close();
  });
});
