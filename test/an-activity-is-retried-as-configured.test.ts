import { expect, it } from 'vitest';
import { Durable, Errors, type RetryOptions, workflow } from '../src/index.js';
import { describeInBothTempos, gate, Journal, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();
const key = () => Durable.activity.getContext().idempotencyKey;

interface Attempt {
  readonly at: number;
  readonly attempt: number;
}

class CustomError extends Error {
  override readonly name = 'CustomError';
  readonly detail = { reason: 'custom' };
}

const thrown = {
  error: () => new Error('failed'),
  custom: () => new CustomError('failed', { cause: new TypeError('deeper') }),
  coded: () => Object.assign(new Error('failed'), { code: 'ECONNREFUSED' }),
  numbered: () => Object.assign(new Error('failed'), { code: 598 }),
  fatal: () => new Errors.DurableFatalError('failed'),
  maxed: () => new Errors.DurableMaxedError('failed'),
  timeout: () => new Errors.DurableTimeoutError('failed'),
  retry: () => new Errors.DurableRetryError('failed'),
  text: () => 'failed',
  nothing: () => undefined,
  object: () => ({ message: 'failed', code: 7 }),
  hopeless: () => Errors.ApplicationFailure.nonRetryable('failed', 'Hopeless'),
  sayingSo: () => Object.assign(new Error('failed'), { nonRetryable: true }),
  patient: () => Errors.ApplicationFailure.create({ message: 'failed', nextRetryDelay: '300ms' }),
};

const activities = {
  /** Fails `times` times, then says which attempt it is. */
  async flaky(id: string, times: number, what: keyof typeof thrown = 'error') {
    const { attempt } = Durable.activity.getContext();
    journal.note(id, { at: Date.now(), attempt });
    if (attempt <= times) throw thrown[what]();
    return attempt;
  },
  async slow(id: string, ms: number, slowAttempts: number) {
    const { attempt, signal } = Durable.activity.getContext();
    journal.note(id, { at: Date.now(), attempt });
    if (attempt > slowAttempts) return attempt;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      signal.addEventListener('abort', () => {
        clearTimeout(timer);
        journal.note(`${id} aborted`, signal.reason);
        resolve(null);
      });
    });
    return 'late';
  },
  async context(...args: unknown[]) {
    const { signal, ...context } = Durable.activity.getContext();
    return { ...context, aborted: signal.aborted, args };
  },
  async identify(id: string, times: number) {
    const { attempt } = Durable.activity.getContext();
    journal.note(id, key());
    if (attempt <= times) throw new Error('again');
    return key();
  },
};

async function flaky(id: string, times: number, retry: RetryOptions, what?: keyof typeof thrown) {
  const { flaky } = workflow.proxyActivities<typeof activities>({ retry });
  return await flaky(id, times, what);
}

async function inherits(id: string, times: number) {
  const { flaky } = workflow.proxyActivities<typeof activities>();
  return await flaky(id, times);
}

async function olderName(id: string, times: number, retryPolicy: RetryOptions) {
  const { flaky } = workflow.proxyActivities<typeof activities>({ retryPolicy });
  return await flaky(id, times);
}

async function catches(times: number, retry: RetryOptions, what?: keyof typeof thrown) {
  const { flaky } = workflow.proxyActivities<typeof activities>({ retry });
  let error: unknown;
  try {
    error = await flaky(workflow.workflowInfo().workflowId, times, what);
  } catch (caught) {
    error = caught;
  }
  return describeError(error);
}

function describeError(error: unknown) {
  if (!(error instanceof Error)) return { returned: error };
  const { name, message, cause, stack } = error;
  return {
    class: Object.getPrototypeOf(error).constructor.name,
    name,
    message,
    code: (error as { code?: unknown }).code,
    remoteStack: stack?.includes('an-activity-is-retried-as-configured') ?? false,
    interrupted: Durable.didInterrupt(error),
    ...(cause instanceof Error && {
      cause: { name: cause.name, message: cause.message, detail: (cause as { detail?: unknown }).detail },
    }),
  };
}

async function limited(id: string, ms: number, slowAttempts: number, retry: RetryOptions) {
  const { slow } = workflow.proxyActivities<typeof activities>({ startToCloseTimeout: '100ms', retry });
  return await slow(id, ms, slowAttempts);
}

const { context: moduleLevel } = workflow.proxyActivities<typeof activities>({ headers: { tenant: 't-1' } });

async function contexts() {
  return await moduleLevel('a', 1);
}

async function identifies(id: string, times: number) {
  const { identify } = workflow.proxyActivities<typeof activities>({ retry: retryAtOnce });
  return [await identify(`${id} 1`, times), await identify(`${id} 2`, 0)];
}

async function unknownName() {
  const { nobodyHasThis } = workflow.proxyActivities<{ nobodyHasThis(): Promise<void> }>({
    retry: { ...retryAtOnce, maximumAttempts: 1 },
  });
  await nobodyHasThis();
}

async function bringsItsOwn() {
  const own = async (n: number) => {
    if (Durable.activity.getContext().attempt < 3) throw new Error('not yet');
    return n + 1;
  };
  const { increment } = workflow.proxyActivities<{ increment(n: number): Promise<number> }>({
    activities: { increment: own },
    retry: retryAtOnce,
  });
  return await increment(41);
}

const workflows = {
  flaky,
  inherits,
  olderName,
  catches,
  limited,
  contexts,
  identifies,
  unknownName,
  bringsItsOwn,
};

describeInBothTempos('an activity', { workflow: workflows, activities }, (engine, tempo) => {
  const attempts = (id: string) => journal.of(`${tempo.name} ${id}`) as readonly Attempt[];
  const delays = (id: string) =>
    attempts(id)
      .slice(1)
      .map(({ at }, n) => at - (attempts(id)[n] as Attempt).at);
  const run = (name: string, id: string, ...args: unknown[]) => engine().run(name, [`${tempo.name} ${id}`, ...args]);

  it('is retried until it succeeds', async () => {
    expect(await run('flaky', 'until it succeeds', 3, retryAtOnce)).toBe(4);
    expect(attempts('until it succeeds').map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
  });

  it.each([0, 1, 3])('has %s retries when it is given that many, and not one more', async (maximumAttempts) => {
    const id = `maximum ${maximumAttempts}`;
    await expect(run('flaky', id, 9, { ...retryAtOnce, maximumAttempts })).rejects.toMatchObject({ code: 598 });
    expect(attempts(id)).toHaveLength(maximumAttempts + 1);
  });

  it('waits initialInterval × coefficient ^ (retry - 1), at most maximumInterval', async () => {
    const retry = { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '500ms' };
    await run('flaky', 'delays', 3, retry);
    const expected = [200, 400, 500];
    for (const [n, delay] of delays('delays').entries()) {
      expect(delay).toBeGreaterThanOrEqual((expected[n] as number) - 2); // Date.now() cuts milliseconds off
      expect(delay).toBeLessThan((expected[n] as number) + 1_500);
    }
  });

  it('waits as long as its error asks for', async () => {
    await run('flaky', 'next retry delay', 2, { initialInterval: '1h', maximumInterval: '1h' }, 'patient');
    for (const delay of delays('next retry delay')) expect(delay).toBeGreaterThanOrEqual(298);
    expect(attempts('next retry delay')).toHaveLength(3);
  });

  it('is not retried more often because its error asks for a delay', async () => {
    await expect(run('flaky', 'patient', 9, { maximumAttempts: 1 }, 'patient')).rejects.toThrow('failed');
    expect(attempts('patient')).toHaveLength(2);
  });

  it('is retried without a pause when initialInterval is 0', async () => {
    const started = Date.now();
    await run('flaky', 'no pause', 5, { initialInterval: 0 });
    expect(Date.now() - started).toBeLessThan(20_000);
    expect(attempts('no pause')).toHaveLength(6);
  });

  it('inherits what its workflow was started with', async () => {
    const id = `${tempo.name} inherits`;
    const handle = await engine().start('inherits', [id, 9], { config: { ...retryAtOnce, maximumAttempts: 2 } });
    expect(await engine().failure(handle)).toMatchObject({ code: 598, message: 'failed' });
    expect(journal.count(id)).toBe(3);
  });

  it('takes its policy by the older name too', async () => {
    expect(await run('olderName', 'older', 2, retryAtOnce)).toBe(3);
  });

  it('is not retried when the name of its error is listed', async () => {
    const retry = { ...retryAtOnce, nonRetryableErrorTypes: ['CustomError'] };
    await expect(run('flaky', 'listed', 9, retry, 'custom')).rejects.toThrow('failed');
    expect(attempts('listed')).toHaveLength(1);
  });

  it.each(['fatal', 'maxed', 'timeout', 'hopeless', 'sayingSo'] as const)(
    'is not retried when it throws the %s error',
    async (what) => {
      await expect(run('flaky', what, 9, retryAtOnce, what)).rejects.toThrow('failed');
      expect(attempts(what)).toHaveLength(1);
    },
  );

  it.each(['coded', 'numbered', 'retry', 'text', 'nothing', 'object'] as const)(
    'is retried whatever else it throws: %s',
    async (what) => {
      expect(await run('flaky', `throws ${what}`, 2, retryAtOnce, what)).toBe(3);
    },
  );

  it.each([
    ['error', 'DurableFatalError', 598, { name: 'Error', message: 'failed' }],
    ['custom', 'DurableFatalError', 598, { name: 'CustomError', message: 'failed', detail: { reason: 'custom' } }],
    ['numbered', 'DurableFatalError', 598, { name: 'Error', message: 'failed' }],
    ['fatal', 'DurableFatalError', 598, undefined],
    ['maxed', 'DurableMaxedError', 597, undefined],
    ['timeout', 'DurableTimeoutError', 596, undefined],
  ])('that failed for good by %s arrives as %s', async (what, name, code, cause) => {
    const seen = await engine().run('catches', [9, { ...retryAtOnce, maximumAttempts: 1 }, what]);
    expect(seen).toEqual({
      class: name,
      name,
      message: 'failed',
      code,
      remoteStack: true,
      interrupted: false,
      ...(cause && { cause }),
    });
  });

  it.each([
    ['error', 599, 'DurableRetryError'],
    ['fatal', 598, 'DurableFatalError'],
    ['maxed', 597, 'DurableMaxedError'],
  ])('with throwOnError false gives its failure by %s as a value', async (what, code, name) => {
    const seen = await engine().run('catches', [9, { ...retryAtOnce, maximumAttempts: 1, throwOnError: false }, what]);
    expect(seen).toMatchObject({ class: name, message: 'failed', code });
  });

  it('says what was thrown when that is no error', async () => {
    const seen = await engine().run('catches', [9, { maximumAttempts: 0 }, 'nothing']);
    expect(seen).toMatchObject({ name: 'DurableFatalError', message: expect.stringContaining('undefined') });
  });

  it('is aborted at its limit, retried, and its late result is dropped', async () => {
    const id = 'limited';
    expect(await run('limited', id, 60_000, 2, retryAtOnce)).toBe(3);
    expect(attempts(id)).toHaveLength(3);
    const reasons = journal.of(`${tempo.name} ${id} aborted`);
    expect(reasons).toHaveLength(2);
    expect(reasons[0]).toBeInstanceOf(Errors.DurableTimeoutError);
  });

  it('that exceeded its limit for good fails as a timeout', async () => {
    await expect(run('limited', 'too late', 60_000, 9, { ...retryAtOnce, maximumAttempts: 1 })).rejects.toMatchObject({
      name: 'DurableTimeoutError',
      code: 596,
      message: "Activity 'slow' exceeded startToCloseTimeout of 0.1s",
      timeoutType: 'START_TO_CLOSE',
    });
  });

  it('knows its call', async () => {
    const handle = await engine().start('contexts');
    expect(await engine().result(handle)).toEqual({
      activityName: 'context',
      arguments: ['a', 1],
      headers: { tenant: 't-1' },
      workflowId: handle.workflowId,
      workflowName: 'contexts',
      workflowTopic: 'test-context',
      taskQueue: 'test',
      namespace: 'durable',
      attempt: 1,
      idempotencyKey: expect.any(String),
      aborted: false,
      args: ['a', 1],
    });
  });

  it('has one idempotency key for all attempts of a call, and another for every other call', async () => {
    const [one, two] = (await run('identifies', 'keys', 2)) as string[];
    const [other] = (await run('identifies', 'other keys', 0)) as string[];
    expect(new Set(journal.of(`${tempo.name} keys 1`))).toEqual(new Set([one]));
    expect(new Set([one, two, other]).size).toBe(3);
  });

  it('that no worker has is retried, and then fails by its name', async () => {
    await expect(engine().run('unknownName')).rejects.toThrow("Activity 'nobodyHasThis' not found in registry");
  });

  it('may be brought along by its workflow', async () => {
    expect(await engine().run('bringsItsOwn')).toBe(42);
  });

  it('is retried by whoever is there, also when its workflow is parked meanwhile', async () => {
    const handle = await engine().start('flaky', [
      `${tempo.name} parked`,
      1,
      { initialInterval: 1_500, backoffCoefficient: 1 },
    ]);
    await until('the first attempt', () => attempts('parked').length === 1);
    if (tempo.forgets) await engine().waits(handle);
    expect(await engine().result(handle)).toBe(2);
    expect(delays('parked')[0]).toBeGreaterThanOrEqual(1_498);
  });
});

it('outside of an activity there is no context', () => {
  expect(() => Durable.activity.getContext()).toThrow('called outside of an activity execution context');
});

describeInBothTempos(
  'a long activity',
  {
    workflow: {
      async long(id: string) {
        const { hold } = workflow.proxyActivities<{ hold(id: string): Promise<string> }>();
        return await hold(id);
      },
    },
    activities: {
      async hold(id: string) {
        journal.note(id);
        return await (held.get(id) as ReturnType<typeof gate<string>>).passed;
      },
    },
  },
  (engine, tempo) => {
    it('runs once, and holds up neither parking nor its result', async () => {
      const id = `${tempo.name} long`;
      held.set(id, gate<string>());
      const handle = await engine().start('long', [id]);
      await until('it runs', () => journal.count(id) === 1);
      await until('its workflow is parked', async () => {
        const [row] = await engine().sql<{ state: string }>(
          'select t.state from thread t join execution e using (run_no) where e.workflow_id = $1',
          [handle.workflowId],
        );
        return row?.state === 'parked';
      });
      held.get(id)?.open('done');
      expect(await engine().result(handle)).toBe('done');
      expect(journal.count(id)).toBe(1);
    });
  },
);

const held = new Map<string, ReturnType<typeof gate<string>>>();
