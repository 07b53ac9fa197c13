import pg from 'pg';
import { afterAll, describe, expect, it } from 'vitest';
import { Client, Durable, Errors, Worker, workflow } from '../src/index.js';
import { Heard } from './support/heard.js';
import { describeInBothTempos, Engine, gate, Journal, kept, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();

const workflows = {
  async counts(to: number) {
    for (let n = 0; n < to; n++) {
      await workflow.emit({ tick: { n, at: workflow.workflowInfo().workflowId } });
      await workflow.sleep(1);
    }
    return to;
  },

  async packs(orderId: string) {
    const emitted = await workflow.emit({ 'order.packed': orderId, 'order.weighed': { grams: 700 } });
    void workflow.emit({ nothing: undefined }); // not awaited, and no payload
    await workflow.trace({ boxes: 2, orderId });
    return emitted;
  },

  async waits() {
    await workflow.emit({ before: 1 });
    const data = await workflow.condition<string>('go');
    await workflow.emit({ after: data });
    return data;
  },

  /** Fails in its first two attempts, each time behind another event. */
  async stumbles(once: boolean) {
    const { attempt } = workflow.workflowInfo();
    try {
      await workflow.emit({ tried: 'each' }, { once });
      await workflow.sleep(1);
      await workflow.emit({ reached: 'the second part' });
      journal.note('attempt', attempt);
      if (attempt < 3) throw new Error('stumbled');
      return attempt;
    } finally {
      await workflow.emit({ cleaned: attempt });
    }
  },

  async branches() {
    await Promise.all(
      ['a', 'b', 'c'].map(async (name) => {
        for (let n = 0; n < 5; n++) {
          await workflow.sleep(1);
          await workflow.emit({ [name]: n });
        }
      }),
    );
  },

  async mixes() {
    for (let n = 0; n < 3; n++) await workflow.emit({ order: n }, { once: n !== 1 });
  },

  async generations(left: number): Promise<number> {
    await workflow.emit({ left });
    if (left > 0) return workflow.continueAsNew(left - 1);
    return left;
  },

  async misuses(how: string) {
    const calls: Record<string, () => Promise<unknown>> = {
      'no object': () => workflow.emit('topic' as never),
      list: () => workflow.emit(['a'] as never),
      'no topic': () => workflow.emit({ '': 1 }),
      'NUL in topic': () => workflow.emit({ 'a\0': 1 }),
      'no payload': () => workflow.emit({ a: () => 1 }),
      'unknown option': () => workflow.emit({ a: 1 }, { onse: true } as never),
      'no flag': () => workflow.emit({ a: 1 }, { once: 'yes' as never }),
      'no attributes': () => workflow.trace(null as never),
      'deep attribute': () => workflow.trace({ a: {} as never }),
      'infinite attribute': () => workflow.trace({ a: Number.POSITIVE_INFINITY }),
      'nameless attribute': () => workflow.trace({ '': 1 }),
      'unknown option of trace': () => workflow.trace({ a: 1 }, { oncce: true } as never),
    };
    return await calls[how]?.().then(
      () => 'let through',
      (error: Error) => `${error.name}: ${error.message}`,
    );
  },
};

describeInBothTempos('emitted events', { workflow: workflows }, (engine, { forgets }) => {
  const inOrder = Array.from({ length: 10 }, (_, n) => n);

  it('come in the order they were emitted, with where they are from', async () => {
    const handle = await engine().start('counts', [10], { workflowId: 'counting' });
    const heard = await Heard.on(engine().client, { workflowId: 'counting', from: 0 });
    await engine().result(handle);
    const { emissions } = await heard.all(engine().client);
    expect(emissions.map(({ data }) => data)).toEqual(inOrder.map((n) => ({ n, at: 'counting' })));
    for (const { topic, workflowId, run, emittedAt } of emissions) {
      expect({ topic, workflowId, run }).toEqual({ topic: 'tick', workflowId: 'counting', run: 0 });
      expect(Math.abs(emittedAt.getTime() - Date.now())).toBeLessThan(60_000);
    }
    const positions = emissions.map(({ position }) => position);
    expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b));
    heard.subscription.unsubscribe();
  });

  it('come also when the call was not awaited, and without a payload', async () => {
    const handle = await engine().start('packs', ['o-1']);
    const heard = await Heard.on(engine().client, { workflowId: handle.workflowId, from: 0 });
    expect(await engine().result(handle)).toBe(true);
    expect((await heard.all(engine().client)).said).toEqual([
      ['order.packed', 'o-1'],
      ['order.weighed', { grams: 700 }],
      ['nothing', undefined],
    ]);
    heard.subscription.unsubscribe();
  });

  it('are emitted once, however often the workflow is replayed', async () => {
    const handle = await engine().start('waits');
    const heard = await Heard.on(engine().client, { workflowId: handle.workflowId, from: 0 });
    await engine().waits(handle);
    expect((await heard.all(engine().client)).said).toEqual([['before', 1]]);
    await handle.signal('go', 'gone');
    expect(await engine().result(handle)).toBe('gone');
    expect((await heard.all(engine().client)).said).toEqual([
      ['before', 1],
      ['after', 'gone'],
    ]);
    heard.subscription.unsubscribe();
  });

  it('are emitted once, however often the function is retried', async () => {
    const handle = await engine().start('stumbles', [true], { config: retryAtOnce });
    const heard = await Heard.on(engine().client, { workflowId: handle.workflowId, from: 0 });
    expect(await engine().result(handle)).toBe(3);
    const { said } = await heard.all(engine().client);
    expect(said.filter(([topic]) => topic !== 'cleaned')).toEqual([
      ['tried', 'each'],
      ['reached', 'the second part'],
    ]);
    heard.subscription.unsubscribe();
  });

  it('are emitted by each attempt, and by each replay, with once: false', async () => {
    const handle = await engine().start('stumbles', [false], { config: retryAtOnce });
    const heard = await Heard.on(engine().client, { workflowId: handle.workflowId, from: 0 });
    expect(await engine().result(handle)).toBe(3);
    const { said } = await heard.all(engine().client);
    const tried = said.filter(([topic]) => topic === 'tried').length;
    if (forgets) expect(tried).toBeGreaterThanOrEqual(3);
    else expect(tried).toBe(3);
    expect(said.filter(([topic]) => topic === 'reached')).toHaveLength(1);
    heard.subscription.unsubscribe();
  });

  it('keep their order beside those that are repeated', async () => {
    const handle = await engine().start('mixes');
    const heard = await Heard.on(engine().client, { workflowId: handle.workflowId, from: 0 });
    await engine().result(handle);
    expect((await heard.all(engine().client)).said).toEqual([0, 1, 2].map((n) => ['order', n]));
    heard.subscription.unsubscribe();
  });

  it('of parallel branches each keep their order', async () => {
    const handle = await engine().start('branches');
    const heard = await Heard.on(engine().client, { workflowId: handle.workflowId, from: 0 });
    await engine().result(handle);
    const { said } = await heard.all(engine().client);
    for (const name of ['a', 'b', 'c'])
      expect(said.filter(([topic]) => topic === name).map(([, n]) => n)).toEqual([0, 1, 2, 3, 4]);
    heard.subscription.unsubscribe();
  });

  it('of all runs of a chain come to who asked for the workflow', async () => {
    const handle = await engine().start('generations', [3]);
    const heard = await Heard.on(engine().client, { workflowId: handle.workflowId, from: 0 });
    expect(await engine().result(handle)).toBe(0);
    const { emissions } = await heard.all(engine().client);
    expect(emissions.map(({ run, data }) => [run, data])).toEqual([0, 1, 2, 3].map((run) => [run, 3 - run]));
    heard.subscription.unsubscribe();
  });

  it.each([
    ['no object', 'InvalidArgumentError: emit: events must be an object of payloads by topic; got "topic"'],
    ['list', 'InvalidArgumentError: emit: events must be an object of payloads by topic; got an array'],
    ['no topic', 'InvalidArgumentError: emit: each topic must be text of 1 to 512 bytes'],
    ['NUL in topic', 'InvalidArgumentError: emit: each topic must be text of 1 to 512 bytes'],
    ['no payload', 'PayloadError: events["a"]'],
    ['unknown option', 'InvalidArgumentError: emit: unknown option "onse"; did you mean "once"?'],
    ['no flag', 'InvalidArgumentError: emit: once must be true or false; got "yes"'],
    ['no attributes', 'InvalidArgumentError: trace: attributes must be an object of attributes by name; got null'],
    ['deep attribute', 'InvalidArgumentError: trace: attributes["a"] must be text, a finite number or a boolean'],
    ['infinite attribute', 'InvalidArgumentError: trace: attributes["a"] must be text, a finite number or a boolean'],
    ['nameless attribute', 'InvalidArgumentError: trace: each attribute name must be text of 1 to 512 bytes'],
    ['unknown option of trace', 'InvalidArgumentError: trace: unknown option "oncce"; did you mean "once"?'],
  ])('are refused at the call: %s', async (how, refusal) => {
    expect(await engine().run('misuses', [how])).toContain(refusal);
  });
});

describe('a subscriber', () => {
  const opened: Engine[] = [];
  afterAll(() => Promise.all(opened.map((engine) => engine.close())));
  async function open(): Promise<Engine> {
    const engine = await Engine.open({ workflow: workflows, tempo: kept });
    opened.push(engine);
    return engine;
  }

  it('hears what is emitted from then on, unless it says where to begin', async () => {
    const engine = await open();
    await engine.run('packs', ['early']);
    const heard = await Heard.on(engine.client, { topic: 'order.packed' });
    const everything = await Heard.on(engine.client, { topic: 'order.packed', from: 0 });
    await engine.run('packs', ['late']);
    expect((await heard.all(engine.client)).said).toEqual([['order.packed', 'late']]);
    expect((await everything.all(engine.client)).said.map(([, id]) => id)).toEqual(['early', 'late']);
    heard.subscription.unsubscribe();
    everything.subscription.unsubscribe();
  });

  it('hears the topics it asked for, and those of a pattern', async () => {
    const engine = await open();
    const packed = await Heard.on(engine.client, { topic: 'order.packed' });
    const orders = await Heard.on(engine.client, { pattern: 'order.*' });
    const none = await Heard.on(engine.client, { pattern: 'order_*' }); // no wildcard but the star
    const whole = await Heard.on(engine.client);
    await engine.run('packs', ['o']);
    const topics = async (heard: Heard) => (await heard.all(engine.client)).said.map(([topic]) => topic);
    expect(await topics(packed)).toEqual(['order.packed']);
    expect(await topics(orders)).toEqual(['order.packed', 'order.weighed']);
    expect(await topics(none)).toEqual([]);
    expect(await topics(whole)).toEqual(['order.packed', 'order.weighed', 'nothing']);
  });

  it('goes on behind the position where another left off, with nothing lost and nothing twice', async () => {
    const engine = await open();
    const handle = await engine.start('counts', [40]);
    const seen: unknown[] = [];
    let position = 0;
    while (seen.length < 40) {
      const enough = gate();
      const client = new Client({ connection: engine.connection });
      const subscription = await client.workflow.subscribe({ topic: 'tick', from: position }, ({ data }) => {
        seen.push((data as { n: number }).n);
        if (seen.length % 7 === 0 || seen.length === 40) enough.open();
      });
      await enough.passed;
      subscription.unsubscribe();
      await subscription.ended;
      ({ position } = subscription);
      await client.close();
    }
    expect(seen).toEqual(Array.from({ length: 40 }, (_, n) => n));
    await engine.result(handle);
  });

  it('is given one event after the other, the next when it is done with the last', async () => {
    const engine = await open();
    let [underWay, most] = [0, 0];
    const seen: unknown[] = [];
    const subscription = await engine.client.workflow.subscribe({ topic: 'tick' }, async ({ data }) => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, 2));
      seen.push((data as { n: number }).n);
      underWay--;
    });
    await engine.run('counts', [20]);
    await until('all were dealt with', () => seen.length === 20);
    expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(most).toBe(1);
    subscription.unsubscribe();
  });

  it('that fails is told nothing more, and knows how far it came', async () => {
    const engine = await open();
    const others = await Heard.on(engine.client, { topic: 'tick' });
    const seen: unknown[] = [];
    const subscription = await engine.client.workflow.subscribe({ topic: 'tick' }, ({ data, position }) => {
      const { n } = data as { n: number };
      if (n === 3) throw new RangeError(`cannot deal with ${n}`);
      seen.push(position);
    });
    const ended = subscription.ended.then(
      () => null,
      (error: Error) => error,
    );
    await engine.run('counts', [6]);
    expect(await ended).toMatchObject({ name: 'RangeError', message: 'cannot deal with 3' });
    expect(seen).toHaveLength(3);
    expect(subscription.position).toBe(seen.at(-1));
    await others.count(6); // nobody else is held up
    const again = await Heard.on(engine.client, { topic: 'tick', from: subscription.position });
    expect((await again.count(3)).emissions.map(({ data }) => (data as { n: number }).n)).toEqual([3, 4, 5]);
  });

  it('hears nothing after unsubscribing; it has ended when the event under way is dealt with', async () => {
    const engine = await open();
    const [called, hold] = [gate(), gate()];
    let ended = false;
    const dealtWith: number[] = [];
    const subscription = await engine.client.workflow.subscribe({ topic: 'tick' }, async ({ position }) => {
      called.open();
      await hold.passed;
      dealtWith.push(position);
    });
    void subscription.ended.then(() => {
      ended = true;
    });
    const handle = await engine.start('counts', [5]);
    await called.passed;
    subscription.unsubscribe();
    await engine.result(handle);
    expect([ended, dealtWith]).toEqual([false, []]);
    hold.open();
    await subscription.ended;
    expect(dealtWith).toHaveLength(1);
    expect(subscription.position).toBe(dealtWith[0]);
  });

  it.each([0, 2])('may unsubscribe in the middle of what it is told (at event %i)', async (last) => {
    const engine = await open();
    await engine.run('counts', [5]);
    const seen: unknown[] = [];
    const subscription = await engine.client.workflow.subscribe({ topic: 'tick', from: 0 }, ({ data }) => {
      const { n } = data as { n: number };
      seen.push(n);
      if (n === last) subscription.unsubscribe();
    });
    await subscription.ended;
    expect(seen).toEqual([0, 1, 2].slice(0, last + 1));
    const rest = await Heard.on(engine.client, { topic: 'tick', from: subscription.position });
    const left = (await rest.count(4 - last)).emissions.map(({ data }) => (data as { n: number }).n);
    expect(left).toEqual([1, 2, 3, 4].slice(last));
  });

  it('may come from HotMesh: the engine object has sub, psub, unsub and punsub', async () => {
    const engine = await open();
    const hotMesh = await engine.client.getHotMeshClient(null);
    expect([hotMesh.appId, hotMesh.namespace]).toEqual(['durable', 'durable']);
    const heard: unknown[] = [];
    await hotMesh.sub('order.packed', (topic, data) => heard.push(['sub', topic, data]));
    await hotMesh.psub('order.*', (topic, data) => heard.push(['psub', topic, data]));
    const handle = await engine.start('packs', ['o-1']);
    await engine.result(handle);
    await until('all were heard', () => heard.length >= 3);
    expect(heard).toContainEqual(['sub', 'order.packed', 'o-1']);
    expect(heard.filter((one) => (one as string[])[0] === 'psub')).toEqual([
      ['psub', 'order.packed', 'o-1'],
      ['psub', 'order.weighed', { grams: 700 }],
    ]);
    await hotMesh.unsub('order.packed');
    const all = await Heard.on(engine.client, { pattern: 'order.*' });
    await engine.run('packs', ['o-2']);
    await all.all(engine.client);
    await until('the pattern was heard again', () => heard.length >= 5);
    await hotMesh.punsub('order.*');
    await engine.run('packs', ['o-3']);
    await all.all(engine.client);
    expect(heard).toHaveLength(5);
    expect(await hotMesh.getStatus(handle.workflowId)).toBe(0);
    expect((await hotMesh.getState('any', handle.workflowId)).data).toMatchObject({ done: true, response: true });
    const waiting = await engine.start('waits');
    expect([waiting.hotMesh.appId, await waiting.hotMesh.getStatus(waiting.workflowId)]).toEqual(['durable', 1]);
    await waiting.hotMesh.interrupt('any', waiting.workflowId, { reason: 'enough' });
    expect((await engine.failure(waiting)).message).toBe('enough');
    expect(await hotMesh.signal('nobody')).toBe('buffered');
    await expect(hotMesh.sub('', () => {})).rejects.toThrow('sub: topic must be text of 1 to 512 bytes');
    await expect(hotMesh.unsub(undefined as unknown as string)).rejects.toThrow('unsub: topic must be text');
    await expect(hotMesh.userData(7 as unknown as string)).rejects.toThrow('userData: workflowId must be text');
    await expect(hotMesh.psub('a', 'no' as never)).rejects.toThrow('subscribe: callback must be a function');
    await expect(hotMesh.getStatus('')).rejects.toThrow('getStatus: workflowId must be text of 1 to 512 bytes');
  });

  it('ends with its client', async () => {
    const engine = await open();
    const client = new Client({ connection: engine.connection });
    const { ended } = await client.workflow.subscribe({}, () => {});
    await client.close();
    await ended;
  });

  it('is in no workflow, though a worker of this process emitted the event', async () => {
    const engine = await open();
    const found = gate<unknown>();
    await engine.client.workflow.subscribe({ topic: 'tick' }, () => {
      try {
        found.open(Durable.workflow.workflowInfo());
      } catch (error) {
        found.open(error);
      }
    });
    await engine.run('counts', [1]);
    expect(await found.passed).toBeInstanceOf(Errors.WorkflowContextError);
  });

  it('is told of it in other processes too', async () => {
    const engine = await open();
    const listener = new pg.Client({ connectionString: engine.database.url });
    await listener.connect();
    const told = gate<string>();
    listener.on('notification', ({ payload = '' }) => {
      if (/[:,]m(,|$)/.test(payload)) told.open(payload);
    });
    await listener.query('listen perdure_durable');
    await engine.run('packs', ['o']);
    await told.passed;
    await listener.end();
  });

  it('needs no notifications', async () => {
    const engine = await Engine.withoutWorker(kept);
    opened.push(engine);
    await engine.addWorker({ workflow: workflows, options: { notifications: false } });
    // Through a transaction pooler nobody can listen.
    const deaf = new Client({ connection: { ...engine.connection, pooler: 'transaction' } });
    const heard = await Heard.on(deaf, { topic: 'tick' });
    const handle = await deaf.workflow.start({ taskQueue: 'test', workflowName: 'counts', args: [5] });
    expect((await heard.count(5)).emissions.map(({ data }) => (data as { n: number }).n)).toEqual([0, 1, 2, 3, 4]);
    await handle.result();
    await deaf.close();
  });

  it('reads what passed a codec, and nothing is stored without it', async () => {
    const engine = await Engine.withoutWorker(kept);
    opened.push(engine);
    const turned = (text: string) => [...text].reverse().join('');
    const connection = { ...engine.connection, codec: { encode: turned, decode: turned } };
    const worker = await Worker.create({ connection, taskQueue: 'test', workflow: workflows, options: kept.tuning });
    const client = new Client({ connection });
    const heard = await Heard.on(client, { pattern: 'order.*' });
    const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'packs', args: ['secret-1'] });
    await handle.result();
    expect((await heard.count(2)).said[0]).toEqual(['order.packed', 'secret-1']);
    const stored = await engine.sql<{ all: string }>(
      'select string_agg(m::text, $1) as all from emission m union all select string_agg(h::text, $1) from history h',
      [' '],
    );
    for (const { all } of stored) expect(all).not.toMatch(/secret-1|grams|boxes/);

    const blind = await Heard.on(engine.client, { topic: 'order.packed', from: 0 });
    await expect(blind.subscription.ended).rejects.toBeInstanceOf(Errors.PayloadCodecError);
    expect([blind.emissions, blind.subscription.position]).toEqual([[], 0]);
    await worker.stop();
    await client.close();
  });

  it.each<[unknown, unknown, string]>([
    [{ topics: 'a' }, () => {}, 'subscribe: unknown option "topics"; did you mean "topic"?'],
    [{ topic: '' }, () => {}, 'subscribe: topic must be text of 1 to 512 bytes'],
    [{ workflowId: 7 }, () => {}, 'subscribe: workflowId must be text of 1 to 512 bytes'],
    [{ topic: 'a', pattern: 'a*' }, () => {}, 'subscribe: topic must not be given together with pattern'],
    [{ from: -1 }, () => {}, 'subscribe: from must be a whole number from 0; got -1'],
    [{ from: '3' }, () => {}, 'subscribe: from must be a whole number from 0; got "3"'],
    [{ namespace: 'with space' }, () => {}, 'config.appId [with space] is invalid'],
    [undefined, () => {}, 'subscribe: options must be an object; got undefined'],
    [{}, undefined, 'subscribe: callback must be a function'],
    [{}, 'call me', 'subscribe: callback must be a function'],
  ])('is refused when it asks for %j', async (options, callback, refusal) => {
    const client = new Client({ connection: { class: pg.Client, options: { host: '127.0.0.1', port: 1 } } });
    const refused = client.workflow.subscribe(options as never, callback as never);
    await expect(refused).rejects.toThrow(refusal);
    await expect(refused).rejects.toBeInstanceOf(Errors.InvalidArgumentError);
    void client.close();
  });

  it('is refused a position that was never given', async () => {
    const engine = await open();
    await engine.run('packs', ['o']);
    await expect(engine.client.workflow.subscribe({ from: 4 }, () => {})).rejects.toThrow(
      'subscribe: from must be a position that was given in this namespace, 3 at most; got 4',
    );
  });
});
