import type { Socket } from 'node:net';
import pg from 'pg';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import {
  activity,
  Client,
  type ConnectionOptions,
  Durable,
  Errors,
  type PayloadCodec,
  proxyActivities,
  uuid,
  type Worker,
  workflow,
} from '../src/index.js';
import { sealingCodec } from './support/sealing-codec.js';
import { Engine, kept, replayed, retryAtOnce, type Tempo, until } from './support/worker.js';

/** In every payload of these tests, and nowhere else. */
const SECRET = 'marzipan';

class OutOfStock extends Error {
  override readonly name = 'OutOfStock';
  readonly sku = `sku ${SECRET}`;
}

const attempts = new Map<string, number>();
const tokens = new Map<string, string>();

const activities = {
  async echo<T>(value: T): Promise<T> {
    return value;
  },
  async headers() {
    return activity.getContext().headers;
  },
  async failsOnce(key: string) {
    const attempt = (attempts.get(key) ?? 0) + 1;
    attempts.set(key, attempt);
    if (attempt === 1) throw new Error(`first ${SECRET}`);
    return `${SECRET} at last`;
  },
  async beats() {
    const { heartbeat, heartbeatDetails, attempt } = activity.getContext();
    if (attempt > 1) return heartbeatDetails;
    heartbeat({ reached: SECRET });
    throw new Error(`beat ${SECRET}`);
  },
  async asks(key: string) {
    tokens.set(key, activity.getContext().taskToken);
    throw new activity.CompleteAsyncError();
  },
  async fails() {
    throw new OutOfStock(`no ${SECRET}`, { cause: new TypeError(`cause ${SECRET}`) });
  },
};
type Activities = typeof activities;

const { echo, headers } = proxyActivities<Activities>({ headers: { token: SECRET } });
const { beats, asks } = proxyActivities<Activities>({ retry: retryAtOnce });
const { failsOnce } = proxyActivities<Activities>({ retry: retryAtOnce });
const { fails } = proxyActivities<Activities>({ retry: { maximumAttempts: 0 } });
const pool = proxyActivities<Pick<Activities, 'echo' | 'failsOnce' | 'fails' | 'beats'>>({
  taskQueue: 'pool',
  retry: { ...retryAtOnce, maximumAttempts: 1 },
});

const workflows = {
  async everything(key: string, word: string) {
    const echoed = await echo({ word });
    const tried = await failsOnce(`${key} here`);
    const far = [await pool.echo([word]), await pool.failsOnce(`${key} there`)];
    const child = await workflow.executeChild({ workflowName: 'continues', args: [word] });
    await workflow.signal(`early-${key}`, { early: word });
    const early = await workflow.condition(`early-${key}`);
    const late = await workflow.condition(`late-${key}`);
    const caught = await fails().catch((error: Error) => (error.cause as OutOfStock).sku);
    const farCaught = await pool.fails().catch((error: Error) => ((error.cause as Error).cause as Error).message);
    const childFailed = await workflow
      .executeChild({ workflowName: 'throws', args: [word], config: { maximumAttempts: 0 } })
      .catch((error: Error) => error.message);
    return { echoed, tried, far, child, early, late, headers: await headers(), caught, farCaught, childFailed };
  },
  async everythingElse(key: string, word: string) {
    await workflow.emit({ told: { word } });
    const shared = await workflow.entity();
    await shared.set({ 'perdure:sealed': 'plain' });
    const inline = await workflow.run('inline', () => ({ word }));
    const answered: unknown[] = [await asks(`${key} 1`), await asks(`${key} 2`).catch((error: Error) => error.message)];
    const ended = await workflow.startChild({ workflowName: 'waits', args: [key, word] });
    await workflow.terminate(ended, { reason: `end of ${word}` });
    const hook = { taskQueue: 'test', args: [word], config: { maximumAttempts: 0 } };
    const hooked = [
      await workflow.execHook({ ...hook, workflowName: 'answers' }),
      await workflow.execHook({ ...hook, workflowName: 'throws' }).catch((error: Error) => error.message),
      await workflow.condition(`hooked-${key}`),
    ];
    return { inline, answered, hooked, beaten: await beats(), far: await pool.beats(), document: await shared.get() };
  },
  async answers(word: string, { signal }: { signal: string }) {
    await workflow.signal(signal, { answer: await echo(word) });
  },
  async signals(key: string, word: string) {
    await workflow.signal(`hooked-${key}`, word);
  },
  async continues(word: string, again = true): Promise<string> {
    if (again) await workflow.continueAsNew(word, false);
    return `${word} continued`;
  },
  async throws(word: string) {
    throw new OutOfStock(`threw ${word}`, { cause: new RangeError(`by ${SECRET}`) });
  },
  async throwsOnce(word: string) {
    if (workflow.workflowInfo().attempt === 1) throw new Error(`once ${word}`);
    return word;
  },
  async waits(key: string, word: string) {
    const before = await echo(word);
    const signal = await workflow.condition(`go-${key}`);
    return { before, signal, after: await echo(word) };
  },
  async callsPool(word: string) {
    return await pool.echo(word);
  },
  async returns(value: unknown) {
    return await echo(value);
  },
};

/** What the engine sends, byte by byte, by database. */
const sent = new Map<string, string[]>();

class Watched extends pg.Client {
  override async connect(): Promise<never> {
    await super.connect();
    const { stream } = (this as unknown as { connection: { stream: Socket } }).connection;
    const bytes = sent.get(this.database ?? '') ?? [];
    sent.set(this.database ?? '', bytes);
    const write = stream.write.bind(stream) as (data: Uint8Array, ...rest: unknown[]) => boolean;
    stream.write = (data: unknown, ...rest: unknown[]) => {
      bytes.push(Buffer.from(data as Uint8Array).toString('latin1'));
      return write(data as Uint8Array, ...rest);
    };
    return undefined as never;
  }
}

/** Clients and workers of one database, each with a codec of its own. */
class Keys {
  readonly engine: Engine;
  readonly #clients: Client[] = [];
  readonly #workers: Worker[] = [];

  constructor(engine: Engine) {
    this.engine = engine;
  }

  static async open(tempo?: Tempo): Promise<Keys> {
    return new Keys(await Engine.withoutWorker(tempo));
  }

  connection(codec?: PayloadCodec | null): ConnectionOptions {
    return { ...this.engine.connection, class: Watched, ...(codec !== undefined && { codec }) };
  }

  client(codec?: PayloadCodec | null): Client {
    const client = new Client({ connection: this.connection(codec) });
    this.#clients.push(client);
    return client;
  }

  async worker(codec?: PayloadCodec | null): Promise<Worker> {
    const options = { ...this.engine.tempo.tuning, shutdownGrace: 200 };
    const connection = this.connection(codec);
    const worker = await Durable.Worker.create({
      connection,
      taskQueue: 'test',
      workflow: workflows,
      activities,
      options,
    });
    this.#workers.push(worker);
    return worker;
  }

  /** On a connection of its own, hence a host of its own: its tasks pass the database. */
  async pool(codec?: PayloadCodec | null): Promise<Worker> {
    const options = { ...this.engine.tempo.tuning, shutdownGrace: 200 };
    const { options: url, ...connection } = this.connection(codec);
    const config = { connection: { ...connection, options: { ...url, keepAlive: true } }, taskQueue: 'pool', options };
    const worker = await Durable.registerActivityWorker(config, activities);
    this.#workers.push(worker);
    return worker;
  }

  async blocked(workflowId: string, reason: string): Promise<void> {
    await until(`${workflowId} is blocked: ${reason}`, async () => {
      const [row] = await this.engine.sql<{ blocked_reason: string | null }>(
        `select t.blocked_reason from thread t join execution e using (run_no)
         where e.workflow_id = $1 and t.state = 'blocked'`,
        [workflowId],
      );
      return row?.blocked_reason?.startsWith(`PayloadCodecError: ${reason}`) === true;
    });
  }

  /** All that was sent to the database. */
  sent(): string {
    return (sent.get(new URL(this.engine.database.url).pathname.slice(1)) ?? []).join('');
  }

  /** Every row of every table, as text. */
  async everythingStored(): Promise<string> {
    const tables = await this.engine.sql<{ name: string }>(
      `select tablename as name from pg_tables where schemaname = 'durable'`,
    );
    const rows = await Promise.all(
      tables.map(({ name }) => this.engine.sql<{ row: string }>(`select t::text as row from "${name}" t`)),
    );
    expect(rows.flat().length).toBeGreaterThan(10);
    return rows
      .flat()
      .map(({ row }) => row)
      .join('\n');
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.engine.close();
  }
}

async function withKeys(tempo: Tempo, test: (keys: Keys) => Promise<void>): Promise<void> {
  const keys = await Keys.open(tempo);
  try {
    await test(keys);
  } finally {
    await keys.close();
  }
}

const start = (workflowName: string, args: unknown[], workflowId: string = uuid()) => ({
  taskQueue: 'test',
  workflowName,
  args,
  workflowId,
});

describe.concurrent.each([kept, replayed])('with a codec ($name)', (tempo) => {
  it('no payload is stored as it is, of any kind, and all of them arrive', async () => {
    await withKeys(tempo, async (keys) => {
      const codec = sealingCodec('k1');
      const { engine } = keys;
      const client = keys.client(codec);
      await keys.worker(codec);
      await keys.pool(codec);
      const key = uuid();
      const handle = await client.workflow.start({
        ...start('everything', [key, SECRET]),
        search: { data: { open: 'on purpose' } },
      });
      await engine.awaitsSignal(handle, `late-${key}`);
      await handle.signal(`late-${key}`, { late: SECRET });
      expect(await engine.result(handle)).toEqual({
        echoed: { word: SECRET },
        tried: `${SECRET} at last`,
        far: [[SECRET], `${SECRET} at last`],
        child: `${SECRET} continued`,
        early: { early: SECRET },
        late: { late: SECRET },
        headers: { token: SECRET },
        caught: `sku ${SECRET}`,
        farCaught: `cause ${SECRET}`,
        childFailed: `threw ${SECRET}`,
      });

      const failed = await client.workflow.start({ ...start('throws', [SECRET]), config: { maximumAttempts: 0 } });
      expect(await engine.failure(failed)).toMatchObject({
        name: 'OutOfStock',
        message: `threw ${SECRET}`,
        stack: expect.stringContaining('payloads-pass-the-codec'),
        sku: `sku ${SECRET}`,
        cause: { name: 'RangeError', message: `by ${SECRET}` },
      });
      expect((await failed.state()).$error).toMatchObject({ message: `threw ${SECRET}` });
      expect((await handle.state()).response).toMatchObject({ child: `${SECRET} continued` });

      const retried = await client.workflow.start({ ...start('throwsOnce', [SECRET]), config: retryAtOnce });
      expect(await engine.result(retried)).toBe(SECRET);

      const ended = await client.workflow.start(start('waits', [uuid(), SECRET]));
      await ended.terminate({ reason: `enough ${SECRET}` });
      expect((await engine.failure(ended)).message).toBe(`enough ${SECRET}`);
      await client.workflow.signal('for nobody', { kept: SECRET });

      const stored = await keys.everythingStored();
      expect(stored).not.toContain(SECRET);
      expect(stored).toContain('perdure:sealed');
      expect(stored).toContain('on purpose');
      // Nor was any sent, for rows that are gone meanwhile.
      expect(keys.sent()).not.toContain(SECRET);
      expect(keys.sent()).toContain('perdure:sealed');
    });
  });

  it('so do hooks, heartbeats, answers from outside, inline steps and emitted events, but no documents', async () => {
    await withKeys(tempo, async (keys) => {
      const codec = sealingCodec('k1');
      const { engine } = keys;
      const client = keys.client(codec);
      await keys.worker(codec);
      await keys.pool(codec);
      const key = uuid();
      const handle = await client.workflow.start(start('everythingElse', [key, SECRET]));
      const heard: unknown[] = [];
      const subscription = await client.workflow.subscribe({ workflowId: handle.workflowId, from: 0 }, (event) => {
        heard.push(event.data);
      });
      await until('it asks', () => tokens.has(`${key} 1`));
      await client.activity.complete(tokens.get(`${key} 1`) as string, { answer: SECRET });
      await until('it asks again', () => tokens.has(`${key} 2`));
      const final = new Errors.DurableFatalError(`refused ${SECRET}`);
      await client.activity.fail(tokens.get(`${key} 2`) as string, final);
      const { workflowId } = handle;
      await client.workflow.hook({ workflowId, taskQueue: 'test', workflowName: 'signals', args: [key, SECRET] });
      expect(await engine.result(handle)).toEqual({
        inline: { word: SECRET },
        answered: [{ answer: SECRET }, `refused ${SECRET}`],
        hooked: [{ answer: SECRET }, `threw ${SECRET}`, SECRET],
        beaten: { reached: SECRET },
        far: { reached: SECRET },
        document: { 'perdure:sealed': 'plain' },
      });
      await until('the event is heard', () => heard.length > 0);
      expect(heard).toEqual([{ word: SECRET }]);
      subscription.unsubscribe();
      await subscription.ended;
      expect(keys.sent()).not.toContain(SECRET);
      expect(keys.sent()).toContain('perdure:sealed');
    });
  });

  it('what began without one goes on with it, and the other way round', async () => {
    await withKeys(tempo, async (keys) => {
      const { engine } = keys;
      const codec = sealingCodec('k1');
      const [toSealed, toPlain] = [uuid(), uuid()];
      const plainClient = keys.client(null);
      const sealedClient = keys.client(codec);
      let worker = await keys.worker(null);
      const first = await plainClient.workflow.start(start('waits', [toSealed, SECRET]));
      await engine.awaitsSignal(first, `go-${toSealed}`);
      await worker.stop();

      worker = await keys.worker(codec);
      await sealedClient.workflow.signal(`go-${toSealed}`, 'sealed signal');
      const expected = { before: SECRET, signal: 'sealed signal', after: SECRET };
      expect(await engine.result(await sealedClient.workflow.getHandle('test', 'waits', first.workflowId))).toEqual(
        expected,
      );
      await expect(first.result()).rejects.toThrow('written with a codec, but none is registered here');

      const second = await sealedClient.workflow.start(start('waits', [toPlain, SECRET]));
      await engine.awaitsSignal(second, `go-${toPlain}`);
      await plainClient.workflow.signal(`go-${toPlain}`, 'plain signal'); // as SQL sends it
      expect(await engine.result(second)).toEqual({ before: SECRET, signal: 'plain signal', after: SECRET });
    });
  });

  it('a key may be replaced while executions run', async () => {
    await withKeys(tempo, async (keys) => {
      const { engine } = keys;
      const key = uuid();
      const client = keys.client(sealingCodec('old'));
      const worker = await keys.worker(sealingCodec('old'));
      const { workflowId } = await client.workflow.start(start('waits', [key, SECRET]));
      const handle = await keys.client(sealingCodec('new', 'old')).workflow.getHandle('test', 'waits', workflowId);
      await engine.awaitsSignal(handle, `go-${key}`);
      await worker.stop();
      await keys.worker(sealingCodec('new', 'old'));
      await handle.signal(`go-${key}`, 1);
      expect(await engine.result(handle)).toEqual({ before: SECRET, signal: 1, after: SECRET });
      await expect(client.workflow.getHandle('test', 'waits', workflowId).then((h) => h.result())).rejects.toThrow(
        Errors.PayloadCodecError,
      );
    });
  });

  it('the wrong key, or none, blocks what it cannot read; the right one goes on with it', async () => {
    await withKeys(tempo, async (keys) => {
      const { engine } = keys;
      const codec = sealingCodec('k1');
      const client = keys.client(codec);
      const [inHistory, inMail] = [uuid(), uuid()];
      const right = await keys.worker(codec);
      const history = await client.workflow.start(start('waits', [inHistory, SECRET]));
      const mail = await client.workflow.start(start('waits', [inMail, SECRET]));
      await engine.awaitsSignal(history, `go-${inHistory}`);
      await engine.awaitsSignal(mail, `go-${inMail}`);
      await keys.client(sealingCodec('k2')).workflow.signal(`go-${inMail}`, SECRET);
      await keys.blocked(mail.workflowId, 'the codec could not decode a stored payload of');
      await right.stop();

      const wrong = await keys.worker(sealingCodec('k2'));
      const fresh = await client.workflow.start(start('returns', [SECRET]));
      await history.signal(`go-${inHistory}`, 'go');
      await keys.blocked(fresh.workflowId, 'the codec could not decode a stored payload of');
      await keys.blocked(history.workflowId, 'the codec could not decode a stored payload of');
      await wrong.stop();
      const without = await keys.worker(null);
      await keys.blocked(fresh.workflowId, 'a stored payload was written with a codec, but none is registered here');
      await without.stop();

      await keys.worker(sealingCodec('k1', 'k2'));
      expect(await engine.result(fresh)).toBe(SECRET);
      expect(await engine.result(history)).toEqual({ before: SECRET, signal: 'go', after: SECRET });
      expect(await engine.result(mail)).toEqual({ before: SECRET, signal: SECRET, after: SECRET });
    });
  });

  it('a pool with the wrong key uses up no attempt; the task waits for the right one', async () => {
    await withKeys(tempo, async (keys) => {
      const codec = sealingCodec('k1');
      await keys.worker(codec);
      const wrong = await keys.pool(sealingCodec('k2'));
      const handle = await keys.client(codec).workflow.start(start('callsPool', [SECRET]));
      await until('the task says why it waits', async () => {
        const [row] = await keys.engine.sql<{ last_failure: string | null; attempt: number }>(
          'select last_failure, attempt from activity_task',
        );
        return row?.attempt === 1 && row.last_failure?.includes('PayloadCodecError') === true;
      });
      await wrong.stop();
      await keys.pool(codec);
      expect(await keys.engine.result(handle)).toBe(SECRET);
    });
  });

  it('values that look like sealed ones are values, with and without a codec', async () => {
    await withKeys(tempo, async (keys) => {
      const values = [
        { 'perdure:sealed': 'k1:abc' },
        { 'perdure:plain': 1 },
        { 'perdure:plain': { 'perdure:sealed': 'x' } },
        { 'perdure:sealed': 1, more: 2 },
        ' {"perdure:sealed":"x"}',
      ];
      for (const codec of [null, sealingCodec('k1')]) {
        const worker = await keys.worker(codec);
        const client = keys.client(codec);
        for (const value of values) {
          const handle = await client.workflow.start(start('returns', [value]));
          expect(await keys.engine.result(handle)).toEqual(value);
          const key = uuid();
          const signalled = await client.workflow.start(start('waits', [key, value]));
          await signalled.signal(`go-${key}`, value);
          expect(await keys.engine.result(signalled)).toEqual({ before: value, signal: value, after: value });
        }
        await worker.stop();
      }
    });
  });
});

describe('a codec that fails', () => {
  const good = sealingCodec('k1');
  const broken: [string, PayloadCodec, string][] = [
    [
      'throws',
      {
        ...good,
        encode: (json) => {
          throw Object.assign(new TypeError(`cannot: ${json}`), { code: 'ERR_NO_KEY' });
        },
      },
      'the codec could not encode payload of 12 characters: TypeError ERR_NO_KEY at ',
    ],
    ['answers a promise', { ...good, encode: (async () => 'x') as never }, 'must return text; got a promise'],
    ['answers no text', { ...good, encode: (() => 7) as never }, "the codec's encode must return text; got number"],
  ];

  it.each(broken)(
    '(%s) rejects a start before anything is sent, and tells no content',
    async (_what, codec, message) => {
      const client = new Client({ connection: { class: pg.Client, options: { host: '127.0.0.1', port: 1 }, codec } });
      const error = await client.workflow.start(start('returns', [SECRET])).then(
        () => null,
        (e: Error) => e,
      );
      expect(error).toBeInstanceOf(Errors.PayloadCodecError);
      expect(error?.message).toContain(message);
      expect(error?.message).not.toContain(SECRET);
      expect(error?.cause).toBeUndefined();
      void client.close();
    },
  );

  it.each(broken)(
    '(%s) blocks the workflow that it cannot store; a working one goes on with it',
    async (_what, codec) => {
      await withKeys(kept, async (keys) => {
        const worker = await keys.worker({ ...codec, decode: good.decode });
        const handle = await keys.client(good).workflow.start(start('returns', [SECRET]));
        await keys.blocked(handle.workflowId, 'the codec');
        await worker.stop();
        await keys.worker(good);
        expect(await keys.engine.result(handle)).toBe(SECRET);
      });
    },
  );
});

describe('the codec of the process', () => {
  afterEach(() => Durable.registerCodec(null));
  afterAll(() => Durable.shutdown());

  it('is for all connections that have none of their own', async () => {
    await withKeys(kept, async (keys) => {
      Durable.registerCodec(sealingCodec('k1'));
      const worker = await keys.worker();
      const client = keys.client();
      const handle = await client.workflow.start(start('returns', [SECRET]));
      expect(await keys.engine.result(handle)).toBe(SECRET);
      expect(await keys.everythingStored()).not.toContain(SECRET);
      await expect(
        (await keys.client(null).workflow.getHandle('test', 'returns', handle.workflowId)).result(),
      ).rejects.toThrow('none is registered here');
      Durable.registerCodec(null);
      await worker.stop();
      await keys.worker();
      const plain = await client.workflow.start(start('returns', [SECRET]));
      expect(await keys.engine.result(plain)).toBe(SECRET);
      expect(await keys.everythingStored()).toContain(SECRET);
      expect(keys.sent()).toContain(SECRET);
    });
  });

  it.each([undefined, 1, 'x', {}, { encode: () => '' }, { encode: 1, decode: 2 }])('%o is refused', (codec) => {
    expect(() => Durable.registerCodec(codec as never)).toThrow(Errors.InvalidArgumentError);
    expect(() => Durable.registerCodec(codec as never)).toThrow(
      'registerCodec: codec must be null or an object with the functions encode and decode',
    );
    if (codec === undefined) return;
    expect(() => new Client({ connection: { class: pg.Client, codec: codec as never } })).toThrow(
      'connection: codec must be null or an object with the functions encode and decode',
    );
  });
});
