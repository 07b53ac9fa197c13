import { expect, it } from 'vitest';
import { type ActivityOptions, Durable, Errors, workflow } from '../src/index.js';
import { type Fixture, spawnFixture } from './support/process.js';
import { describeInBothTempos, Engine, gate, Journal, kept, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();
const gates = new Map<string, ReturnType<typeof gate>>();

const activities = {
  /** Heartbeats each item; fails behind every `failEvery`-th one. */
  async load(id: string, items: number, failEvery: number) {
    const { heartbeat, heartbeatDetails, attempt } = Durable.activity.getContext();
    const from = (heartbeatDetails as { done: number } | undefined)?.done ?? 0;
    journal.note(`${id} attempts`, { attempt, from });
    for (let item = from; item < items; item++) {
      journal.note(id, item);
      heartbeat({ done: item + 1 });
      if ((item + 1) % failEvery === 0 && item + 1 < items) throw new Error(`behind ${item}`);
    }
    return attempt;
  },
  /** Heartbeats until it is told to stop, and does not look at its signal. */
  async deaf(id: string) {
    journal.note(id);
    for (;;) {
      try {
        Durable.activity.heartbeat();
      } catch (error) {
        journal.note(`${id} told`, error);
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  },
  async silentlyKeeps(id: string) {
    const { heartbeat, heartbeatDetails, attempt } = Durable.activity.getContext();
    journal.note(id, heartbeatDetails);
    if (attempt === 1) heartbeat({ kept: true });
    if (attempt === 2) heartbeat();
    if (attempt < 4) throw new Error('again');
    return heartbeatDetails;
  },
  async refused() {
    try {
      Durable.activity.heartbeat(() => {});
    } catch (error) {
      return (error as Error).name;
    }
    return 'not refused';
  },
  /** What is called behind the end of the attempt is of no effect. */
  async late(id: string) {
    const { heartbeat, attempt, heartbeatDetails } = Durable.activity.getContext();
    if (attempt === 1) {
      void gates.get(id)?.passed.then(() => heartbeat('late'));
      throw new Error('again');
    }
    gates.get(id)?.open(undefined);
    await new Promise((resolve) => setTimeout(resolve, 20));
    return heartbeatDetails ?? 'nothing';
  },
};

async function call(name: keyof typeof activities, args: unknown[], options: ActivityOptions = {}) {
  const proxy = workflow.proxyActivities({ retry: retryAtOnce, ...options } as ActivityOptions<
    Record<string, (...args: unknown[]) => unknown>
  >);
  return await proxy[name]?.(...args);
}

async function bound(name: keyof typeof activities, args: unknown[]) {
  return await call(name, args, { activities });
}

async function cancellable(name: keyof typeof activities, args: unknown[], options: ActivityOptions = {}) {
  try {
    return await call(name, args, options);
  } catch (error) {
    return Durable.workflow.isCancellation(error);
  }
}

const workflows = { call, bound, cancellable };

describeInBothTempos('a heartbeat', { workflow: workflows, activities }, (engine, tempo) => {
  const idOf = (name: string) => `${tempo.name} ${name}`;
  const kinds = ['call', 'bound'] as const;

  it.each(kinds)('tells the next attempt how far the last one came (%s)', async (kind) => {
    const id = idOf(`load ${kind}`);
    expect(await engine().run(kind, ['load', [id, 10, 3]])).toBe(4);
    expect(journal.of(id)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(journal.of(`${id} attempts`)).toEqual([0, 3, 6, 9].map((from, n) => ({ attempt: n + 1, from })));
  });

  it.each(kinds)('without details leaves those before (%s)', async (kind) => {
    const id = idOf(`keeps ${kind}`);
    expect(await engine().run(kind, ['silentlyKeeps', [id]])).toEqual({ kept: true });
    expect(journal.of(id)).toEqual([null, { kept: true }, { kept: true }, { kept: true }]);
  });

  it.each(kinds)('is refused with what cannot be stored (%s)', async (kind) => {
    expect(await engine().run(kind, ['refused', []])).toBe('PayloadError');
  });

  it.each(kinds)('behind the end of its attempt is of no effect (%s)', async (kind) => {
    const id = idOf(`late ${kind}`);
    gates.set(id, gate());
    expect(await engine().run(kind, ['late', [id]])).toBe('nothing');
  });

  it('tells an activity in another worker that its workflow was cancelled', async () => {
    const id = idOf('deaf');
    const remote = await engine().addActivityWorker(`remote ${tempo.name}`, activities);
    const handle = await engine().start('cancellable', ['deaf', [id], { taskQueue: `remote ${tempo.name}` }]);
    await until('it runs', () => journal.count(id) === 1);
    await handle.cancel();
    expect(await engine().result(handle)).toBe(true);
    await until('it is told', () => journal.count(`${id} told`) === 1);
    expect(journal.of(`${id} told`)[0]).toBeInstanceOf(Errors.CancelledFailure);
    await remote.stop();
  });
});

it('outside of an activity there is no heartbeat', () => {
  expect(() => Durable.activity.heartbeat()).toThrow('called outside of an activity execution context');
});

/** A worker process of the queue `test`, with an activity that heartbeats for ever in its first attempt. */
async function worker(engine: Engine, env: Record<string, string> = {}): Promise<Fixture> {
  const fixture = spawnFixture('heartbeat-worker.mjs', { env: { URL: engine.database.url, ...env } });
  await fixture.waitFor(({ type }) => type === 'ready');
  return fixture;
}

const done = ({ messages }: Fixture): number =>
  Math.max(0, ...messages.filter(({ type }) => type === 'done').map(({ n }) => Number(n)));

it.each(['registered', 'brought', 'inline', 'remote'])(
  'what a process said before it was killed is seen by the next attempt (%s)',
  async (kind) => {
    const engine = await Engine.withoutWorker(kept);
    const first = await worker(engine, { KIND: kind });
    const handle = await engine.start('loads');
    await first.waitFor(({ type, n }) => type === 'done' && Number(n) >= 60, 30_000);
    first.kill('SIGKILL');
    await first.exited;
    const second = await worker(engine, { KIND: kind });
    const { from, attempt } = await engine.result<{ from: number; attempt: number }>(handle);
    expect(attempt).toBe(1); // lost, not failed
    expect(from).toBeLessThanOrEqual(done(first));
    // Heartbeats are sent every 200 ms; one item takes 10 ms. On a busy machine the send may come later.
    expect(from).toBeGreaterThan(10);
    second.kill();
    await second.exited;
    await settled(engine);
  },
);

it('an attempt whose process is stopped is given up at its heartbeatTimeout, and its late result dropped', async () => {
  const engine = await Engine.withoutWorker(kept);
  const remote = await worker(engine, { KIND: 'remote', TASK_QUEUE: 'pool' });
  const workflows = await worker(engine, { KIND: 'remote', LEASE: '20s', NO_POOL: '1' });
  const handle = await engine.start('loads', [{ heartbeatTimeout: '1s', retry: { initialInterval: 1 } }]);
  await remote.waitFor(({ type, n }) => type === 'done' && Number(n) >= 10, 30_000);
  remote.kill('SIGSTOP');
  const other = await worker(engine, { KIND: 'remote', TASK_QUEUE: 'pool' });
  // The lease lasts a minute: it is the limit that frees the task.
  const { from, attempt } = await engine.result<{ from: number; attempt: number }>(handle);
  expect(attempt).toBe(2);
  expect(from).toBeGreaterThan(0);
  remote.kill('SIGCONT');
  await remote.waitFor(({ type }) => type === 'aborted', 30_000);
  for (const process of [remote, other, workflows]) {
    process.kill();
    await process.exited;
  }
  await settled(engine);
});

/** Closes the engine once the dead are known to be dead. */
async function settled(engine: Engine): Promise<void> {
  await engine.sql(`update worker set lease_until = clock() where released_at is null`);
  await until('leases are over', async () => {
    await engine.sql('select reap()');
    return (await engine.sql('select from worker where released_at is null')).length === 0;
  });
  await engine.close();
}
