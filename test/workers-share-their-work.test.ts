import { describe, expect, it } from 'vitest';
import { Durable, uuid, workflow } from '../src/index.js';
import { Engine, gate, Journal, pause, replayed, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();
const gates = new Map<string, ReturnType<typeof gate<void>>>();

/** How many run at this moment, and how many ever did. */
class Gauge {
  now = 0;
  most = 0;
  async run(ms: number): Promise<void> {
    this.most = Math.max(this.most, ++this.now);
    await pause(ms);
    this.now--;
  }
}

describe('an activity worker', () => {
  const payments = workflow.proxyActivities<{ charge(amount: number): Promise<string> }>({
    taskQueue: 'payments',
    retry: { ...retryAtOnce, maximumAttempts: 3 },
  });
  const pays = async (amount: number) => await payments.charge(amount);

  it('runs what workflows of other workers ask of its queue', async () => {
    const engine = await Engine.open({ workflow: { pays } });
    await engine.addActivityWorker('payments', { charge: async (amount: number) => `charged ${amount}` });
    expect(await engine.run('pays', [5])).toBe('charged 5');
    await engine.close();
  });

  it('may come later: until then its activities wait, with no attempt used up', async () => {
    const engine = await Engine.open({ workflow: { pays }, tempo: replayed });
    const handle = await engine.start('pays', [6]);
    await engine.waits(handle);
    await engine.addActivityWorker('payments', {
      charge: async (amount: number) => `charged ${amount}, attempt ${Durable.activity.getContext().attempt}`,
    });
    expect(await engine.result(handle)).toBe('charged 6, attempt 1');
    await engine.close();
  });

  it('retries as its caller asked, and reports the failure with its cause', async () => {
    const engine = await Engine.open({ workflow: { pays } });
    const id = uuid();
    await engine.addActivityWorker('payments', {
      charge: async () => {
        journal.note(id);
        throw new TypeError('declined');
      },
    });
    const error = await engine.failure(await engine.start('pays', [7]));
    expect(error).toMatchObject({ message: 'declined', code: 598, cause: { name: 'TypeError' } });
    expect(journal.count(id)).toBe(4);
    await engine.close();
  });

  it('honours startToCloseTimeout, headers and context as any other', async () => {
    const remote = workflow.proxyActivities<{ look(): Promise<unknown>; hang(): Promise<void> }>({
      taskQueue: 'remote',
      headers: { a: 1 },
      startToCloseTimeout: 50,
      retry: { ...retryAtOnce, maximumAttempts: 1 },
    });
    const engine = await Engine.open({
      workflow: {
        looks: async () => [await remote.look(), await remote.hang().catch(({ name }: Error) => name)],
      },
    });
    await engine.addActivityWorker('remote', {
      look: async () => {
        const { headers, taskQueue, workflowName, workflowTopic } = Durable.activity.getContext();
        return { headers, taskQueue, workflowName, workflowTopic };
      },
      hang: async () => await new Promise(() => {}),
    });
    expect(await engine.run('looks')).toEqual([
      { headers: { a: 1 }, taskQueue: 'remote', workflowName: 'looks', workflowTopic: 'remote-look' },
      'DurableTimeoutError',
    ]);
    await engine.close();
  });

  it('may take one named function, and a queue as its third argument', async () => {
    const engine = await Engine.open({
      workflow: {
        calls: async () => await workflow.proxyActivities<{ named(): Promise<number> }>({ taskQueue: 'third' }).named(),
      },
    });
    async function named() {
      return 3;
    }
    const worker = await Durable.registerActivityWorker(
      { connection: engine.connection, options: { logLevel: 'silent', shutdownGrace: 100 } },
      named,
      'third',
    );
    expect(worker.taskQueue).toBe('third');
    expect(await engine.run('calls')).toBe(3);
    await worker.stop();
    await engine.close();
  });
});

describe('an activity worker that is registered again', () => {
  type Calls = { first(): Promise<string>; second(): Promise<string> };
  const pool = workflow.proxyActivities<Calls>({ taskQueue: 'again', retry: { maximumAttempts: 0 } });
  const first = async () => 'first';
  const second = async () => 'second';
  const another = async () => 'another first';

  async function open() {
    const engine = await Engine.open({
      workflow: { firsts: async () => await pool.first(), seconds: async () => await pool.second() },
    });
    const { connection } = engine;
    const options = { logLevel: 'silent', shutdownGrace: 100 } as const;
    const register = (activities: Record<string, () => Promise<string>>, more = {}) =>
      Durable.registerActivityWorker({ connection, taskQueue: 'again', options, ...more }, activities);
    return { engine, register };
  }

  it('is the same worker, with the further functions; also when both come at once', async () => {
    const { engine, register } = await open();
    const [one, two] = await Promise.all([register({ first }), register({ first, second })]);
    expect(two).toBe(one);
    expect([await engine.run('firsts'), await engine.run('seconds')]).toEqual(['first', 'second']);
    await one.stop();
    await engine.close();
  });

  it('is another one when a name means another function, with other options, elsewhere, or behind the end of the first', async () => {
    const { engine, register } = await open();
    const one = await register({ first });
    const others = [
      await register({ first: another }),
      await register({ first }, { options: { maxConcurrentActivities: 3, logLevel: 'silent' } }),
      await register(
        { first },
        { interceptors: { activityInbound: [{ execute: (_n: string, _a: unknown, next: () => unknown) => next() }] } },
      ),
      await register({ first }, { taskQueue: 'elsewhere' }),
      await register({ first }, { namespace: 'elsewhere' }),
    ];
    expect(new Set([one, ...others]).size).toBe(6);
    await one.stop();
    const next = await register({ first });
    expect(next).not.toBe(one);
    await Promise.all([next, ...others].map((worker) => worker.stop()));
    await engine.close();
  });
});

describe('workers of one process', () => {
  it('keep activities of one name apart', async () => {
    const { where } = workflow.proxyActivities<{ where(): Promise<string> }>();
    const asks = async () => await where();
    const engine = await Engine.open({ workflow: { asks }, activities: { where: async () => 'one' } });
    await engine.addWorker({ taskQueue: 'other', workflow: { asks }, activities: { where: async () => 'other' } });
    expect(await engine.run('asks')).toBe('one');
    expect(await engine.run('asks', [], { taskQueue: 'other' })).toBe('other');
    await engine.close();
  });

  it('stop one by one: the others go on', async () => {
    const engine = await Engine.withoutWorker();
    const first = await engine.addWorker({ workflow: { a: async () => 'a', waits: () => workflow.condition('go') } });
    await engine.addWorker({ workflow: { b: async () => 'b' } });
    expect([await engine.run('a'), await engine.run('b')]).toEqual(['a', 'b']);
    await first.stop();
    await first.stop();
    const handle = await engine.start('a');
    expect(await engine.run('b')).toBe('b');
    expect(await handle.status()).toBe(1);
    await engine.addWorker({ workflow: { a: async () => 'a again' } });
    expect(await engine.result(handle)).toBe('a again');
    await engine.close();
  });

  it('resolve run() when they have stopped', async () => {
    const engine = await Engine.withoutWorker();
    const worker = await engine.addWorker({ workflow: { a: async () => 'a' } });
    let ended = false;
    const running = worker.run().then(() => {
      ended = true;
    });
    await engine.run('a');
    expect(ended).toBe(false);
    await worker.shutdown();
    await running;
    await engine.close();
  });
});

describe('a worker’s limits', () => {
  it('hold for activities, eager ones and queued ones together', async () => {
    const gauge = new Gauge();
    const { work } = workflow.proxyActivities<{ work(): Promise<void> }>();
    const engine = await Engine.open({
      workflow: {
        fans: async () => await Promise.all(Array.from({ length: 10 }, () => work())),
        line: async () => {
          for (let n = 0; n < 5; n++) await work();
        },
      },
      activities: { work: () => gauge.run(10) },
      options: { maxConcurrentActivities: 3 },
    });
    await Promise.all([...Array(5).fill('fans'), ...Array(10).fill('line')].map((name) => engine.run(name)));
    expect(gauge.most).toBeLessThanOrEqual(3);
    expect(gauge.most).toBeGreaterThan(1);
    await engine.close();
  });

  it('hold for activities with a limit of one', async () => {
    const gauge = new Gauge();
    const { work } = workflow.proxyActivities<{ work(): Promise<void> }>();
    const engine = await Engine.open({
      workflow: { line: async () => [await work(), await work(), await work()].length },
      activities: { work: () => gauge.run(5) },
      options: { maxConcurrentActivities: 1 },
    });
    expect(await Promise.all(Array.from({ length: 20 }, () => engine.run('line')))).toEqual(Array(20).fill(3));
    expect(gauge.most).toBe(1);
    await engine.close();
  });

  it('of no activities leave them all to others', async () => {
    const { work } = workflow.proxyActivities<{ work(): Promise<string> }>();
    const engine = await Engine.open({
      workflow: { asks: async () => await work() },
      options: { maxConcurrentActivities: 0 },
    });
    const handle = await engine.start('asks');
    await engine.waits(handle);
    await pause(200);
    expect(await handle.status()).toBe(1);
    await engine.addActivityWorker('test', { work: async () => 'there' });
    expect(await engine.result(handle)).toBe('there');
    await engine.close();
  });

  it.each([1, 3])('of %s workflows at once let all of them through, parents and children too', async (limit) => {
    const gauge = new Gauge();
    const engine = await Engine.open({
      workflow: {
        parent: async () => await workflow.executeChild<number>({ workflowName: 'leaf', args: [1] }),
        leaf: async (n: number) => {
          await gauge.run(5);
          return n;
        },
        waits: async (id: string) => await workflow.condition(id),
      },
      options: { maxConcurrentWorkflows: limit, parkAfter: 10 },
    });
    const id = uuid();
    const waiting = await Promise.all(Array.from({ length: 5 }, () => engine.start('waits', [id])));
    const results = await Promise.all(Array.from({ length: 5 }, () => engine.run('parent')));
    expect(results).toEqual(Array(5).fill(1));
    await Promise.all(waiting.map((handle, n) => handle.signal(id, n)));
    expect(await Promise.all(waiting.map((handle) => engine.result(handle)))).toEqual([0, 1, 2, 3, 4]);
    expect(gauge.most).toBeLessThanOrEqual(limit);
    await engine.close();
  });

  it.each([
    [0, 0],
    [1, 0],
    [5, 20],
    [10_000, 0],
  ])('of %s cached workflows (parked after %s ms) change no result', async (maxCachedWorkflows, parkAfter) => {
    const step = async (n: number) => n;
    const proxied = workflow.proxyActivities<{ step(n: number): Promise<number> }>();
    const engine = await Engine.open({
      workflow: {
        sums: async (id: string) => {
          let sum = 0;
          const draws: number[] = [];
          for (let n = 1; n <= 3; n++) {
            draws.push(workflow.random());
            sum += await proxied.step((await workflow.condition<number>(`${id} ${n}`)) || 0);
          }
          return { sum, sane: new Set(draws).size === 3 };
        },
      },
      activities: { step },
      options: { maxCachedWorkflows, parkAfter },
    });
    const handles = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const id = uuid();
        return { id, handle: await engine.start('sums', [id]) };
      }),
    );
    for (const n of [1, 2, 3]) {
      await Promise.all(handles.map(({ id, handle }) => engine.awaitsSignal(handle, `${id} ${n}`)));
      if (parkAfter === 0) {
        await until('all are parked', async () => {
          const [row] = await engine.sql<{ n: number }>(`select count(*)::int as n from thread where state = 'parked'`);
          return row?.n === 20;
        });
      }
      await Promise.all(handles.map(({ id, handle }) => handle.signal(`${id} ${n}`, n)));
    }
    for (const { handle } of handles) expect(await engine.result(handle)).toEqual({ sum: 6, sane: true });
    await engine.close();
  });
});

describe('a worker that stops', () => {
  it('lets its activities finish, and leaves the workflows to whoever comes', async () => {
    const id = uuid();
    gates.set(id, gate<void>());
    const activities = {
      slow: async () => {
        journal.note(`${id} slow`);
        await gates.get(id)?.passed;
        return 'slow';
      },
      next: async () => {
        journal.note(`${id} next`);
        return 'next';
      },
    };
    const { slow, next } = workflow.proxyActivities<typeof activities>();
    const works = { works: async () => [await slow(), await next()] };
    const engine = await Engine.withoutWorker();
    const worker = await engine.addWorker({ workflow: works, activities, options: { shutdownGrace: '10s' } });
    const handle = await engine.start('works');
    await until('the activity runs', () => journal.count(`${id} slow`) === 1);
    const stopping = worker.stop();
    await pause(50);
    gates.get(id)?.open();
    await stopping;
    expect(journal.count(`${id} next`)).toBe(0);
    await engine.addWorker({ workflow: works, activities });
    expect(await engine.result(handle)).toEqual(['slow', 'next']);
    expect([journal.count(`${id} slow`), journal.count(`${id} next`)]).toEqual([1, 1]);
    await engine.close();
  });

  it('aborts activities that outlast its grace; others run them again', async () => {
    const id = uuid();
    const activities = {
      endless: async () => {
        journal.note(id);
        if (journal.count(id) > 1) return Durable.activity.getContext().attempt;
        return await new Promise<number>((_, reject) => {
          const { signal } = Durable.activity.getContext();
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      },
    };
    const { endless } = workflow.proxyActivities<typeof activities>({ retry: { maximumAttempts: 0 } });
    const works = { works: async () => await endless() };
    const engine = await Engine.withoutWorker();
    const worker = await engine.addWorker({
      workflow: works,
      activities,
      options: { shutdownGrace: 100, parkAfter: 10 },
    });
    const handle = await engine.start('works');
    await until('the activity runs', () => journal.count(id) === 1);
    const asked = Date.now();
    await worker.stop();
    expect(Date.now() - asked).toBeLessThan(5_000);
    await engine.addWorker({ workflow: works, activities });
    expect(await engine.result(handle)).toBe(1); // given back, not failed
    expect(journal.count(id)).toBe(2);
    await engine.close();
  });

  it('is told of each piece of work once while workers come and go', async () => {
    const id = uuid();
    const activities = {
      step: async (n: number) => {
        journal.note(id);
        await pause(1);
        return n;
      },
    };
    const { step } = workflow.proxyActivities<typeof activities>();
    const line = {
      line: async () => {
        let sum = 0;
        for (let n = 0; n < 60; n++) sum += await step(n);
        return sum;
      },
    };
    const engine = await Engine.withoutWorker();
    const options = { parkAfter: 0, shutdownGrace: '5s' };
    let worker = await engine.addWorker({ workflow: line, activities, options });
    const handles = await Promise.all(Array.from({ length: 50 }, () => engine.start('line')));
    for (let round = 0; round < 3; round++) {
      await pause(50);
      const next = await engine.addWorker({ workflow: line, activities, options });
      await worker.stop();
      worker = next;
    }
    expect(await Promise.all(handles.map((handle) => engine.result(handle)))).toEqual(Array(50).fill(1_770));
    expect(journal.count(id)).toBe(50 * 60);
    await engine.close();
  });
});

describe('a workflow that is asked for now and then', () => {
  it('finds a place where a crowd of another kind fills all that it may', async () => {
    const engine = await Engine.withoutWorker();
    const { passed, open } = gate();
    const waits = async () => await workflow.run('waits', async () => await passed);
    const rare = async () => 'found a place';
    await engine.addWorker({ workflow: { waits, rare }, options: { maxConcurrentWorkflows: 20, parkAfter: '1 hour' } });
    const crowd = await Promise.all(Array.from({ length: 40 }, () => engine.start('waits')));
    const owned = async () => (await engine.sql(`select from thread where owner is not null`)).length;
    await until('the crowd has its places', async () => (await owned()) === 18);
    expect(await engine.run('rare')).toBe('found a place');
    expect(await owned()).toBe(18); // one in ten is kept
    open();
    await Promise.all(crowd.map((handle) => engine.result(handle)));
    await engine.close();
  });

  it('does not wait for the long queue of another one on the same worker', async () => {
    const engine = await Engine.withoutWorker();
    const ended: string[] = [];
    const crowd = await Promise.all(Array.from({ length: 40 }, () => engine.start('common')));
    const rare = await engine.start('rare');
    const ends = (name: string) => async () => {
      await workflow.run('end', async () => void ended.push(name));
    };
    // Served first, with a slot for two at once: while it has any left, it would always be next.
    await engine.addWorker({
      workflow: { common: ends('common'), rare: ends('rare') },
      options: { maxConcurrentWorkflows: 2, parkAfter: 0 },
    });
    await Promise.all([rare, ...crowd].map((handle) => engine.result(handle)));
    expect(ended).toHaveLength(41);
    expect(ended.indexOf('rare')).toBeLessThan(10);
    await engine.close();
  });
});
