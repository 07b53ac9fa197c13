import { expect, it } from 'vitest';
import { workflow } from '../src/index.js';
import { describeInBothTempos, Journal, retryAtOnce } from './support/worker.js';

const journal = new Journal();

const activities = {
  async fast(n: number, key?: string) {
    if (key !== undefined) journal.note(key, n);
    return n;
  },
  async after(ms: number, value: unknown) {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return value;
  },
  async fail(message: string) {
    throw new Error(message);
  },
  async note(key: string) {
    journal.note(key);
  },
};
const { fast, after, fail, note } = workflow.proxyActivities<typeof activities>({
  retry: { ...retryAtOnce, maximumAttempts: 0 },
});

const range = (count: number) => Array.from({ length: count }, (_, n) => n);

/** T6a: results of fast activities in one Promise.all. */
async function allOfMany(count: number) {
  return await Promise.all(range(count).map((n) => fast(n)));
}

/** T6b: other calls that take a position stand between the members. */
async function allWithGaps(key: string) {
  const branch = async (n: number) => {
    const first = workflow.random();
    const id = workflow.uuid4();
    const value = await fast(n, key);
    return { value, sane: first >= 0 && first < 1 && id.length === 36 };
  };
  return await Promise.all([fast(100, key), branch(101), branch(102), workflow.sleep(20), branch(103)]);
}

async function mixed(signalId: string) {
  return await workflow.all(
    fast(1),
    workflow.sleep(30),
    workflow.condition(signalId),
    workflow.executeChild<number>({ workflowName: 'child', args: [4] }),
    Promise.resolve('plain'),
    workflow.signal(signalId, 'mine'),
  );
}

async function child(n: number) {
  return n;
}

/** T7: a branch goes on as soon as its own operation is done. */
async function branches() {
  const order: string[] = [];
  const slow = after(400, 'slow').then((value) => order.push(String(value)));
  const quick = (async () => {
    for (const n of range(5)) order.push(String(await fast(n)));
  })();
  await Promise.all([slow, quick]);
  return order;
}

/** T6: the first to settle wins, though others never do. */
async function race() {
  const never = workflow.condition('never');
  const winner = await Promise.race([
    workflow.sleep('1 hour').then(() => 'sleep'),
    never.then(() => 'condition'),
    after(50, 'activity'),
  ]);
  const again = await Promise.race([after(600, 'slow activity'), workflow.sleep(300).then(() => 'sleep')]);
  return [winner, again];
}

async function any() {
  return await Promise.any([fail('one'), after(50, 'two'), workflow.condition('never')]);
}

async function anyOfNone() {
  try {
    return await Promise.any([fail('one'), fail('two')]);
  } catch (error) {
    return (error as AggregateError).errors.map(({ message }: Error) => message);
  }
}

async function allSettled() {
  const outcomes = await Promise.allSettled([fast(1), fail('no'), workflow.sleep(20), after(30, 'late')]);
  return outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.reason.message));
}

/** A rejected member rejects at once, not when the slowest has ended. */
async function rejectsEarly() {
  try {
    await Promise.all([fail('early'), workflow.sleep('1 hour'), workflow.condition('never')]);
    return 'nothing failed';
  } catch (error) {
    return (error as Error).message;
  }
}

/** T1: nothing is thrown to suspend. */
async function finallyOnce(key: string) {
  const seen: string[] = [];
  try {
    try {
      await fast(1);
      await workflow.sleep(20);
      await after(300, null);
    } catch (error) {
      seen.push(`caught ${(error as Error).message}`);
    } finally {
      seen.push('finally');
      await note(key);
    }
  } finally {
    seen.push('outer');
  }
  return seen;
}

/** Swallowing everything harms nothing: there is nothing to swallow. */
async function swallows() {
  let errors = 0;
  const values: unknown[] = [];
  for (const n of range(3)) {
    try {
      values.push(await fast(n), await workflow.sleep(5));
    } catch {
      errors++;
    }
  }
  return { errors, values };
}

async function generators() {
  async function* numbers() {
    for (const n of range(3)) {
      yield await fast(n);
      await workflow.sleep(5);
    }
  }
  function* pairs(list: number[]) {
    for (const n of list) yield [n, n * n];
  }
  const values: number[] = [];
  for await (const n of numbers()) values.push(n);
  return [...pairs(values)];
}

/** Helpers, closures, recursion and local state are ordinary JavaScript. */
async function ordinary() {
  const cache = new Map<number, Promise<number>>();
  const memo = (n: number) => {
    const known = cache.get(n) ?? fast(n);
    cache.set(n, known);
    return known;
  };
  const walk = async (depth: number): Promise<number> => (depth === 0 ? memo(7) : (await walk(depth - 1)) + 1);
  const sums = await Promise.all([walk(2), walk(3), memo(7)]);
  return { sums, calls: cache.size };
}

/** The winner of a race that both could win is what was recorded, in every replay. */
async function closeRace() {
  const winner = await Promise.race([after(30, 'a'), after(30, 'b'), workflow.sleep(30).then(() => 'c')]);
  const told = await after(350, winner); // parked and replayed meanwhile
  return winner === told;
}

async function unawaited(key: string) {
  void fail('nobody looks');
  void workflow.executeChild({ workflowName: 'failing', args: [], config: { maximumAttempts: 0 } });
  void note(key);
  const failed = fail('looked at too late for a process, not for a workflow');
  await after(100, null);
  return await failed.catch(({ message }: Error) => message);
}

async function failing() {
  throw new Error('nobody looks here either');
}

const workflows = {
  allOfMany,
  allWithGaps,
  mixed,
  child,
  branches,
  race,
  any,
  anyOfNone,
  allSettled,
  rejectsEarly,
  finallyOnce,
  swallows,
  generators,
  ordinary,
  closeRace,
  unawaited,
  failing,
};

describeInBothTempos('parallel branches', { workflow: workflows, activities }, (engine, tempo) => {
  it.each([1, 2, 3, 5, 10, 20, 200])('%s fast activities at once give their own results', async (count) => {
    expect(await engine().run('allOfMany', [count])).toEqual(range(count));
  });

  it('each keep their own result whatever else is called between them', async () => {
    const sane = (value: number) => ({ value, sane: true });
    const key = `${tempo.name} gaps`;
    expect(await engine().run('allWithGaps', [key])).toEqual([100, sane(101), sane(102), 0.02, sane(103)]);
    expect([...journal.of(key)].sort()).toEqual([100, 101, 102, 103]);
  });

  it('of all kinds run beside each other; results stand in the order of the calls', async () => {
    const signalId = `${tempo.name} mixed`;
    expect(await engine().run('mixed', [signalId])).toEqual([1, 0.03, 'mine', 4, 'plain', expect.any(String)]);
  });

  it('do not wait for the slowest', async () => {
    expect(await engine().run('branches')).toEqual(['0', '1', '2', '3', '4', 'slow']);
  });

  it('race: the first to settle wins, and one that never settles hinders nobody', async () => {
    expect(await engine().run('race')).toEqual(['activity', 'sleep']);
  });

  it('any: the first success wins; without one all errors are there', async () => {
    expect(await engine().run('any')).toBe('two');
    expect(await engine().run('anyOfNone')).toEqual(['one', 'two']);
  });

  it('allSettled tells the outcome of each', async () => {
    expect(await engine().run('allSettled')).toEqual([1, 'no', 0.02, 'late']);
  });

  it('all rejects with the first failure, at once', async () => {
    expect(await engine().run('rejectsEarly')).toBe('early');
  });

  it('a race that is close has one winner, for ever', async () => {
    expect(await Promise.all(range(10).map(() => engine().run('closeRace')))).toEqual(range(10).map(() => true));
  });

  it('a call that nobody awaits runs, and its failure harms nobody', async () => {
    const key = `${tempo.name} unawaited`;
    expect(await engine().run('unawaited', [key])).toBe('looked at too late for a process, not for a workflow');
    expect(journal.count(key)).toBe(1);
  });

  it('finally runs once, and catch only for errors', async () => {
    const key = `${tempo.name} finally`;
    expect(await engine().run('finallyOnce', [key])).toEqual(['finally', 'outer']);
    expect(journal.count(key)).toBe(1);
  });

  it('code that swallows every error sees none', async () => {
    expect(await engine().run('swallows')).toEqual({ errors: 0, values: [0, 0.005, 1, 0.005, 2, 0.005] });
  });

  it('generators, closures, recursion and memoised promises work as in plain JavaScript', async () => {
    expect(await engine().run('generators')).toEqual([
      [0, 0],
      [1, 1],
      [2, 4],
    ]);
    expect(await engine().run('ordinary')).toEqual({ sums: [9, 10, 7], calls: 1 });
  });
});
