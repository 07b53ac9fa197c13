import { expect, it } from 'vitest';
import { uuid, workflow } from '../src/index.js';
import { describeInBothTempos, Journal, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();

const activities = {
  async step(id: string, n: number) {
    journal.note(id, n);
    return n;
  },
  async longStep(id: string, n: number) {
    journal.note(id, n);
    await new Promise((resolve) => setTimeout(resolve, 300));
    return n;
  },
  async failing(id: string, attempts: number) {
    journal.note(id, 'failing');
    const seen = journal.of(id).filter((entry) => entry === 'failing').length;
    if (seen <= attempts) throw new Error('not yet');
    return 'at last';
  },
};
const { step, longStep } = workflow.proxyActivities<typeof activities>();

/** Fails behind its second step as often as it is told. */
async function failsBehindSteps(id: string, failures: number) {
  const seen: unknown[] = [await step(id, 1), await workflow.sleep(5), await longStep(id, 2)];
  const drawn = workflow.random();
  seen.push(await workflow.executeChild<number>({ workflowName: 'child', args: [id, 3] }));
  if (workflow.workflowInfo().attempt <= failures) throw new Error(`attempt ${workflow.workflowInfo().attempt}`);
  seen.push(await step(id, 4));
  return { seen, attempt: workflow.workflowInfo().attempt, sane: drawn >= 0 };
}

async function child(id: string, n: number) {
  journal.note(id, n);
  return n;
}

/** Each attempt comes one step further than the one before. */
async function oneStepFurther(id: string, steps: number) {
  const { attempt } = workflow.workflowInfo();
  for (let n = 1; n <= steps; n++) {
    await step(id, n);
    if (n === attempt && n < steps) throw new Error(`after step ${n}`);
  }
  return attempt;
}

/** What was pending when the attempt failed belongs to the next one as well. */
async function failsWhilePending(id: string) {
  const pending = Promise.all([longStep(id, 1), workflow.condition(`${id} go`), workflow.sleep(200)]);
  await step(id, 2);
  if (workflow.workflowInfo().attempt <= 2) throw new Error('while others are pending');
  const [value, signal] = await pending;
  return { value, signal, last: await step(id, 3) };
}

/** Signals that were consumed are not consumed again. */
async function failsBehindSignals(id: string) {
  const seen = [await workflow.condition(id)];
  if (workflow.workflowInfo().attempt === 1) throw new Error('between');
  seen.push(await workflow.condition(id));
  if (workflow.workflowInfo().attempt === 2) throw new Error('behind');
  return seen;
}

async function patchesOnRetry(id: string) {
  await step(id, 1);
  if (workflow.workflowInfo().attempt === 1) throw new Error('once');
  const fresh = await workflow.patched('behind the failure');
  await step(id, 2);
  return fresh;
}

async function alwaysFails() {
  const { workflowId, attempt, canRetry } = workflow.workflowInfo();
  journal.note(workflowId, { attempt, canRetry, at: Date.now() });
  throw new Error(`attempt ${attempt}`);
}

const workflows = {
  failsBehindSteps,
  child,
  oneStepFurther,
  failsWhilePending,
  failsBehindSignals,
  patchesOnRetry,
  alwaysFails,
};

describeInBothTempos('a workflow function that failed', { workflow: workflows, activities }, (engine) => {
  it.each([0, 1, 2, 5])('%s times goes on behind what is done, and repeats nothing of it', async (failures) => {
    const id = uuid();
    expect(await engine().run('failsBehindSteps', [id, failures], { config: retryAtOnce })).toEqual({
      seen: [1, 0.005, 2, 3, 4],
      attempt: failures + 1,
      sane: true,
    });
    expect(journal.of(id)).toEqual([1, 2, 3, 4]);
  });

  it('may come further with each attempt', async () => {
    const id = uuid();
    expect(await engine().run('oneStepFurther', [id, 6], { config: retryAtOnce })).toBe(6);
    expect(journal.of(id)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('gets in its next attempt what was pending in the one before', async () => {
    const id = uuid();
    const handle = await engine().start('failsWhilePending', [id], { config: retryAtOnce });
    await handle.signal(`${id} go`, 'signal');
    expect(await engine().result(handle)).toEqual({ value: 1, signal: 'signal', last: 3 });
    expect([...journal.of(id)].sort()).toEqual([1, 2, 3]);
  });

  it('consumes no signal twice', async () => {
    const id = uuid();
    const handle = await engine().start('failsBehindSignals', [id], { config: retryAtOnce });
    await handle.signal(id, 'a');
    await handle.signal(id, 'b');
    expect(await engine().result(handle)).toEqual(['a', 'b']);
  });

  it('finds new code behind its failure', async () => {
    expect(await engine().run('patchesOnRetry', [uuid()], { config: retryAtOnce })).toBe(true);
  });

  it.each([0, 2])('ends with its last error when its %s retries are used up', async (maximumAttempts) => {
    const handle = await engine().start('alwaysFails', [], { config: { ...retryAtOnce, maximumAttempts } });
    const error = await engine().failure(handle);
    expect(error).toMatchObject({ message: `attempt ${maximumAttempts + 1}`, code: 597 });
    const attempts = journal.of(handle.workflowId) as { attempt: number; canRetry: boolean }[];
    expect(new Set(attempts.map(({ attempt }) => attempt)).size).toBe(maximumAttempts + 1);
    expect(attempts.at(-1)?.canRetry).toBe(false);
    expect(attempts[0]?.canRetry).toBe(maximumAttempts > 0);
  });

  it('waits as its config says before it is tried again', async () => {
    const config = { maximumAttempts: 2, initialInterval: 300, backoffCoefficient: 2, maximumInterval: 400 };
    const handle = await engine().start('alwaysFails', [], { config });
    await engine().failure(handle);
    const first = new Map<number, number>();
    for (const { attempt, at } of journal.of(handle.workflowId) as { attempt: number; at: number }[]) {
      if (!first.has(attempt)) first.set(attempt, at);
    }
    const [one = 0, two = 0, three = 0] = [...first.values()];
    expect(two - one).toBeGreaterThanOrEqual(298);
    expect(three - two).toBeGreaterThanOrEqual(398);
  });

  it('is parked while it waits for its next attempt, and still comes', async () => {
    const handle = await engine().start('oneStepFurther', [uuid(), 2], { config: { initialInterval: 1_000 } });
    await until('it has failed once', async () => {
      const timers = await engine().sql(
        'select from timer m join execution e on e.run_no = m.thread_no where e.workflow_id = $1',
        [handle.workflowId],
      );
      return timers.length === 1;
    });
    expect(await handle.status()).toBe(1);
    expect(await engine().result(handle)).toBe(2);
  });
});
