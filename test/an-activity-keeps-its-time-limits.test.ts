import { expect, it } from 'vitest';
import { type ActivityOptions, Durable, Errors, workflow } from '../src/index.js';
import { describeInBothTempos, Engine, Journal, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();

/** Ends by its abort signal only. */
async function untilAborted(id: string): Promise<never> {
  const { signal } = Durable.activity.getContext();
  return await new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      journal.note(`${id} aborted`, signal.reason);
      reject(signal.reason);
    });
  });
}

const activities = {
  /** Slow for its first attempts; with `beats` it says that it is alive. */
  async slow(id: string, slowAttempts: number, beats: boolean) {
    const { attempt, heartbeat } = Durable.activity.getContext();
    journal.note(id, Date.now());
    if (attempt > slowAttempts) return attempt;
    if (!beats) return await untilAborted(id);
    for (let n = 0; n < 25; n++) {
      heartbeat();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return attempt;
  },
  async fails(id: string) {
    journal.note(id, Date.now());
    throw new Error('failed');
  },
};

async function call(name: keyof typeof activities, args: unknown[], options: ActivityOptions) {
  const started = workflow.now();
  try {
    const proxy = workflow.proxyActivities(options as ActivityOptions<Record<string, (...args: unknown[]) => unknown>>);
    return { result: await proxy[name]?.(...args) };
  } catch (error) {
    const { cause, message, timeoutType, code } = error as Errors.DurableTimeoutError & { cause?: Error };
    return {
      timeout: error instanceof Errors.DurableTimeoutError,
      interrupted: Durable.didInterrupt(error),
      message,
      timeoutType,
      code,
      cause: cause?.message,
      ms: Number(workflow.now()) - Number(started),
    };
  }
}

/** The same for a function that came with the call, and so runs where its workflow runs. */
async function bound(name: keyof typeof activities, args: unknown[], options: ActivityOptions) {
  return await call(name, args, { ...options, activities });
}

interface Outcome {
  readonly ms: number;
}

describeInBothTempos('a time limit', { workflow: { call, bound }, activities }, (engine, tempo) => {
  const idOf = (name: string) => `${tempo.name} ${name}`;
  const kinds = ['call', 'bound'] as const;

  it.each(kinds)('between heartbeats ends a silent attempt, which is retried (%s)', async (kind) => {
    const id = idOf(`silent ${kind}`);
    const options = { heartbeatTimeout: 150, retry: retryAtOnce };
    expect(await engine().run(kind, ['slow', [id, 2, false], options])).toEqual({ result: 3 });
    const [first, second] = journal.of(id) as number[];
    expect((second as number) - (first as number)).toBeGreaterThanOrEqual(148);
    expect(journal.of(`${id} aborted`)[0]).toMatchObject({ timeoutType: 'HEARTBEAT' });
  });

  it.each(kinds)('between heartbeats lets one go on that is alive (%s)', async (kind) => {
    const id = idOf(`alive ${kind}`);
    const options = { heartbeatTimeout: 300, retry: retryAtOnce };
    expect(await engine().run(kind, ['slow', [id, 9, true], options])).toEqual({ result: 1 });
  });

  it.each(kinds)('between heartbeats that is exceeded for good says so (%s)', async (kind) => {
    const id = idOf(`silent for good ${kind}`);
    const options = { heartbeatTimeout: 100, retry: { ...retryAtOnce, maximumAttempts: 1 } };
    expect(await engine().run(kind, ['slow', [id, 9, false], options])).toMatchObject({
      timeout: true,
      interrupted: false,
      timeoutType: 'HEARTBEAT',
      code: 596,
      message: "Activity 'slow' exceeded heartbeatTimeout of 0.1s",
    });
    expect(journal.count(id)).toBe(2);
  });

  it.each(kinds)('of the whole call ends an attempt, and there is no other (%s)', async (kind) => {
    const id = idOf(`whole ${kind}`);
    const options = { scheduleToCloseTimeout: 250, retry: retryAtOnce };
    const outcome = await engine().run<Outcome>(kind, ['slow', [id, 9, false], options]);
    expect(outcome).toMatchObject({
      timeout: true,
      timeoutType: 'SCHEDULE_TO_CLOSE',
      message: "Activity 'slow' exceeded scheduleToCloseTimeout of 0.25s",
    });
    expect(outcome.ms).toBeGreaterThanOrEqual(248);
    expect(journal.count(id)).toBe(1);
  });

  it.each(kinds)('of the whole call lets no attempt be waited for that would come too late (%s)', async (kind) => {
    const id = idOf(`too late ${kind}`);
    const retry = { initialInterval: 100, backoffCoefficient: 600 };
    const outcome = await engine().run<Outcome>(kind, ['fails', [id], { scheduleToCloseTimeout: '30s', retry }]);
    // The third would be due in a minute: what the second failed with is final.
    expect(outcome).toMatchObject({ timeout: false, message: 'failed', code: 598 });
    expect(journal.count(id)).toBe(2);
    expect(outcome.ms).toBeLessThan(20_000);
  });

  it.each(kinds)('of the whole call covers all attempts (%s)', async (kind) => {
    const id = idOf(`all attempts ${kind}`);
    const options = { scheduleToCloseTimeout: 700, startToCloseTimeout: 200, retry: retryAtOnce };
    const outcome = await engine().run<Outcome>(kind, ['slow', [id, 99, false], options]);
    expect(outcome).toMatchObject({ timeout: true });
    expect(outcome.ms).toBeGreaterThanOrEqual(500);
    expect(journal.count(id)).toBeGreaterThanOrEqual(2);
  });

  it('until the start ends a call that no worker takes', async () => {
    const options = { taskQueue: 'nobody', scheduleToStartTimeout: 300, retry: retryAtOnce };
    const outcome = await engine().run<Outcome>('call', ['slow', [idOf('nobody'), 0, false], options]);
    expect(outcome).toMatchObject({
      timeout: true,
      timeoutType: 'SCHEDULE_TO_START',
      message: "Activity 'slow' exceeded scheduleToStartTimeout of 0.3s",
    });
    expect(outcome.ms).toBeGreaterThanOrEqual(298);
  });

  it('of the whole call ends one that no worker takes', async () => {
    const options = { taskQueue: 'nobody', scheduleToCloseTimeout: 300 };
    const outcome = await engine().run<Outcome>('call', ['slow', [idOf('nobody at all'), 0, false], options]);
    expect(outcome).toMatchObject({ timeout: true, timeoutType: 'SCHEDULE_TO_CLOSE' });
  });

  it('until the start leaves one alone that was taken in time', async () => {
    const remote = await engine().addActivityWorker(`pool ${tempo.name}`, activities);
    const options = { taskQueue: `pool ${tempo.name}`, scheduleToStartTimeout: '10s', heartbeatTimeout: '10s' };
    expect(await engine().run('call', ['slow', [idOf('in time'), 0, false], options])).toEqual({ result: 1 });
    await remote.stop();
  });

  it('is of no effect on what is done in time', async () => {
    const options = {
      startToCloseTimeout: '1h',
      scheduleToCloseTimeout: '100 years',
      scheduleToStartTimeout: '30 days',
      heartbeatTimeout: '40 days',
    };
    for (const kind of kinds) {
      expect(await engine().run(kind, ['slow', [idOf(`in time ${kind}`), 0, false], options])).toEqual({ result: 1 });
    }
  });

  it('that has passed ends what a retry waits for', async () => {
    const id = idOf('waiting');
    const remote = await engine().addActivityWorker(`failing ${tempo.name}`, activities);
    const retry = { initialInterval: 10, maximumAttempts: 2, backoffCoefficient: 1 };
    const options = { taskQueue: `failing ${tempo.name}`, scheduleToStartTimeout: 400, retry };
    expect(await engine().run('call', ['fails', [id], options])).toMatchObject({ timeout: false, message: 'failed' });
    expect(journal.count(id)).toBe(3);
    await remote.stop();
  });
});

it('a limit is kept by whoever is there when the process that scheduled the call is gone', async () => {
  const engine = await Engine.open({ workflow: { call }, activities });
  const options = { taskQueue: 'nobody', scheduleToCloseTimeout: '2s' };
  const handle = await engine.start('call', ['slow', ['gone', 0, false], options]);
  await engine.waits(handle);
  const [first] = engine.workers;
  await first?.stop();
  await until('the limit is over', async () => {
    const [row] = await engine.sql<{ over: boolean }>('select close_at < clock() as over from activity_task');
    return row?.over === true;
  });
  await engine.addWorker({ workflow: { call }, activities });
  expect(await engine.result(handle)).toMatchObject({ timeoutType: 'SCHEDULE_TO_CLOSE' });
  await engine.close();
});
