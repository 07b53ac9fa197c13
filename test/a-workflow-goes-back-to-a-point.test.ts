import { expect, it } from 'vitest';
import { Durable, Errors, uuid, workflow } from '../src/index.js';
import { describeInBothTempos, type Engine, Journal, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();
const gates = new Map<string, () => void>();
/** Ids whose failing activity works by now. */
const mended = new Set<string>();

const activities = {
  async step(id: string, n: number) {
    const { idempotencyKey } = Durable.activity.getContext();
    journal.note(id, n);
    journal.note(`${id} keys`, idempotencyKey);
    return n;
  },
  async gated(id: string, n: number) {
    journal.note(id, `begun ${n}`);
    journal.note(`${id} keys`, Durable.activity.getContext().idempotencyKey);
    await new Promise<void>((resolve) => gates.set(id, resolve));
    return n;
  },
  async fails(id: string) {
    journal.note(id, 'fails');
    if (!mended.has(id)) throw new Error('out of order');
    return 'mended';
  },
};
const { step, gated } = workflow.proxyActivities<typeof activities>();
const { fails } = workflow.proxyActivities<typeof activities>({ retry: { maximumAttempts: 1, ...retryAtOnce } });

/** One entry for each step; what it draws depends on where it is. */
async function threeSteps(id: string) {
  const drawn: string[] = [];
  for (let n = 1; n <= 3; n++) {
    await step(id, n);
    drawn.push(workflow.uuid4());
  }
  return drawn;
}

async function opensGate(id: string) {
  await step(id, 1);
  await gated(id, 2);
  return await step(id, 3);
}

async function letters(id: string, count: number) {
  await step(id, 1);
  const seen: unknown[] = [];
  for (let n = 0; n < count; n++) seen.push(await workflow.condition(`${id} go`));
  return seen;
}

async function sleeps(id: string) {
  await step(id, 1);
  await Promise.all([workflow.sleep('1 h'), workflow.condition(`${id} go`)]);
}

async function child(id: string) {
  return await workflow.condition(`${id} child go`);
}

async function parent(id: string) {
  await step(id, 1);
  const told = await workflow.executeChild({ workflowName: 'child', workflowId: `${id} child`, args: [id] });
  await step(id, 2);
  return [told, await workflow.condition(`${id} go`)];
}

async function answers(id: string, hook: { signal?: string }) {
  journal.note(id, 'hook');
  await workflow.signal(hook.signal as string, 'from the hook');
}

async function asks(id: string) {
  await step(id, 1);
  const told = await workflow.execHook({ taskQueue: 'test', workflowName: 'answers', args: [id] });
  return [told, await workflow.condition(`${id} go`)];
}

async function counts(id: string) {
  const search = await workflow.search();
  await search.incr('n', 1);
  await step(id, 1);
  await search.incr('n', 1);
  return await workflow.condition(`${id} go`);
}

async function failing(id: string) {
  await step(id, 1);
  try {
    return [await fails(id), await step(id, 2)];
  } finally {
    await step(id, 0);
  }
}

/** Says in its own words what went wrong. */
async function failingInItsWords(id: string) {
  await step(id, 1);
  try {
    return await fails(id);
  } catch (error) {
    await step(id, 0);
    throw new Errors.DurableFatalError('no order', { cause: new Error('no payment', { cause: error }) });
  }
}

/** Ends with all that failed. */
async function failingTwice(id: string) {
  const child = workflow.executeChild({ workflowName: 'failing', workflowId: `${id} child`, args: [id] });
  const outcomes = await Promise.allSettled([step(id, 1), fails(id), child]);
  const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
  if (errors.length > 0) throw new AggregateError(errors, 'some failed');
  return outcomes.map((outcome) => outcome.status === 'fulfilled' && outcome.value);
}

/** Its other branch ends when the failure is known already. */
async function failingInParallel(id: string) {
  const other = gated(id, 1);
  try {
    return [await fails(id), await other];
  } catch (error) {
    journal.note(id, 'failed');
    await other;
    throw error;
  }
}

async function failingItself(id: string) {
  const first = await step(id, 1);
  if (!mended.has(id)) throw new Errors.DurableFatalError('a bug');
  return first;
}

async function failingParent(id: string) {
  await step(`${id} parent`, 1);
  return await workflow.executeChild({ workflowName: 'failing', workflowId: `${id} child`, args: [id] });
}

const workflows = {
  threeSteps,
  opensGate,
  letters,
  sleeps,
  child,
  parent,
  answers,
  asks,
  counts,
  failing,
  failingInParallel,
  failingItself,
  failingTwice,
  failingInItsWords,
  failingParent,
};

const runsOf = (engine: Engine, id: string) =>
  engine.sql<{ run: number; state: string; cause: string }>(
    'select run, state, cause from execution where workflow_id = $1 order by run',
    [id],
  );

const entriesOf = async (engine: Engine, id: string, what: string) => {
  const [row] = await engine.sql<{ seq: number }>(
    `select h.seq from history h join execution e on e.run_no = h.thread_no
     where e.workflow_id = $1 and h.body like $2 order by e.run desc, h.seq limit 1`,
    [id, what],
  );
  return row?.seq ?? -1;
};

describeInBothTempos('a workflow that is reset', { workflow: workflows, activities }, (engine) => {
  it('keeps what came before the point and does the rest again, under keys and numbers of its own', async () => {
    const id = uuid();
    const handle = await engine().start('threeSteps', [id], { workflowId: id });
    const before = await engine().result<string[]>(handle);
    const again = await handle.reset({ toEntry: 1, reason: 'a look' });
    const after = await engine().result<string[]>(again);
    expect(await engine().result(handle)).toEqual(after); // the same chain
    expect(journal.of(id)).toEqual([1, 2, 3, 2, 3]);
    const [one, two, three, twoAgain, threeAgain] = journal.of(`${id} keys`);
    expect(twoAgain).toBe(two); // was scheduled by what is kept
    expect(threeAgain).not.toBe(three);
    expect(new Set([one, two, three, threeAgain]).size).toBe(4);
    expect(after[0]).toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
    expect(await runsOf(engine(), id)).toEqual([
      { run: 0, state: 'completed', cause: 'start' },
      { run: 1, state: 'completed', cause: 'reset' },
    ]);
    // A copy of a copy, and what is behind it: seeds of three runs.
    const third = await engine().result<string[]>(await again.reset({ toEntry: 2 }));
    expect(third.slice(0, 2)).toEqual(after.slice(0, 2));
    expect(third[2]).not.toBe(after[2]);
    expect(journal.of(`${id} keys`).at(-1)).toBe(threeAgain);
  });

  it('ends what is under way, and runs the activity anew that was', async () => {
    const id = uuid();
    const handle = await engine().start('opensGate', [id], { workflowId: id });
    await until('it runs', () => gates.has(id));
    gates.delete(id);
    const result = engine().result(handle);
    await handle.reset({ toEntry: 1 });
    await until('it runs again', () => gates.has(id));
    gates.get(id)?.();
    expect(await result).toBe(3);
    expect(journal.of(id)).toEqual([1, 'begun 2', 'begun 2', 3]);
    expect(new Set(journal.of(`${id} keys`)).size).toBe(3);
    expect(await runsOf(engine(), id)).toMatchObject([{ state: 'continued' }, { state: 'completed', cause: 'reset' }]);
  });

  it('goes back to an event of its export', async () => {
    const id = uuid();
    const handle = await engine().start('threeSteps', [id], { workflowId: id });
    await engine().result(handle);
    const { events } = await handle.exportExecution();
    const completed = events.filter(({ event_type }) => event_type === 'activity_task_completed');
    const again = await handle.reset({ eventId: completed[1]?.event_id ?? 0 });
    await engine().result(again);
    expect(journal.of(id)).toEqual([1, 2, 3, 3]);
    await engine().result(await again.reset({ eventId: 1 }));
    expect(journal.of(id)).toEqual([1, 2, 3, 3, 1, 2, 3]);
    await expect(again.reset({ eventId: 99 })).rejects.toMatchObject({ reason: 'entry' });
    await expect(again.reset({})).rejects.toThrow('either eventId or toEntry must be given');
  });

  it('begins from the start with -1', async () => {
    const id = uuid();
    const handle = await engine().start('threeSteps', [id], { workflowId: id });
    const before = await engine().result<string[]>(handle);
    const after = await engine().result<string[]>(await handle.reset({ toEntry: -1 }));
    expect(journal.of(id)).toEqual([1, 2, 3, 1, 2, 3]);
    expect(after.filter((drawn) => before.includes(drawn))).toEqual([]);
  });

  it('gets back the signals that it took behind the point, in order, before those that it did not take', async () => {
    const id = uuid();
    const handle = await engine().start('letters', [id, 5], { workflowId: id });
    await handle.signal(`${id} go`, 'a');
    await engine().client.workflow.signal(`${id} go`, 'b');
    await until('two are taken', async () => {
      const entries = await engine().sql(
        `select from wait w join execution e on e.run_no = w.thread_no
         where e.workflow_id = $1 and w.op = 3`,
        [id],
      );
      return entries.length === 1;
    });
    const reset = await handle.reset({ toEntry: await entriesOf(engine(), id, '%"wait"%') });
    for (const letter of ['c', 'd', 'e']) await reset.signal(`${id} go`, letter);
    expect(await engine().result(reset)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(journal.of(id)).toEqual([1]);
  });

  it('keeps the moments of its timers', async () => {
    const id = uuid();
    const handle = await engine().start('sleeps', [id], { workflowId: id });
    await engine().awaitsSignal(handle, `${id} go`);
    const due = () =>
      engine().sql(
        `select m.due_at from timer m join execution e on e.run_no = m.thread_no where e.workflow_id = $1 and e.state = 'open'`,
        [id],
      );
    const before = await due();
    await handle.reset({ toEntry: await entriesOf(engine(), id, '%"timer"%') });
    const after = await due();
    expect(after).toHaveLength(1);
    expect(after).toEqual(before);
    await handle.terminate();
    expect(journal.of(id)).toEqual([1]);
  });

  it.each([
    ['is under way', false],
    ['has ended', true],
  ])('hears of a child that %s', async (_, ended) => {
    const id = uuid();
    const handle = await engine().start('parent', [id], { workflowId: id });
    const kid = await engine().client.workflow.getHandle('test', 'child', `${id} child`);
    await engine().awaitsSignal(kid, `${id} child go`);
    const entry = await entriesOf(engine(), id, '%"child"%');
    if (ended) {
      await kid.signal(`${id} child go`, 'told');
      await engine().awaitsSignal(handle, `${id} go`);
    }
    await handle.reset({ toEntry: entry });
    if (!ended) await kid.signal(`${id} child go`, 'told');
    await handle.signal(`${id} go`, 'end');
    expect(await engine().result(handle)).toEqual(['told', 'end']);
    expect(journal.of(id)).toEqual(ended ? [1, 2, 2] : [1, 2]);
  });

  it('opens the hook anew that it awaited', async () => {
    const id = uuid();
    const handle = await engine().start('asks', [id], { workflowId: id });
    await engine().awaitsSignal(handle, `${id} go`);
    await handle.reset({ toEntry: await entriesOf(engine(), id, '%"hook"%') });
    await handle.signal(`${id} go`, 'end');
    expect(await engine().result(handle)).toEqual(['from the hook', 'end']);
    expect(journal.of(id)).toEqual([1, 'hook', 'hook']);
  });

  it('keeps its search fields as they are', async () => {
    const id = uuid();
    const handle = await engine().start('counts', [id], { workflowId: id });
    await engine().awaitsSignal(handle, `${id} go`);
    await handle.reset({ toEntry: await entriesOf(engine(), id, '%"activity"%') });
    await handle.signal(`${id} go`, 'end');
    await engine().result(handle);
    expect(await handle.queryState(['n'])).toEqual({ n: '3' });
  });

  it('stays paused when it was, and tells its parent when it ends', async () => {
    const id = uuid();
    const handle = await engine().start('parent', [id], { workflowId: id });
    const kid = await engine().client.workflow.getHandle('test', 'child', `${id} child`);
    await engine().awaitsSignal(kid, `${id} child go`);
    await kid.pause({ reason: 'so' });
    await kid.reset({ toEntry: -1 });
    expect(await runsOf(engine(), `${id} child`)).toMatchObject([{ state: 'continued' }, { state: 'open' }]);
    await engine().expectNoViolations();
    await kid.signal(`${id} child go`, 'told');
    await kid.resume();
    await handle.signal(`${id} go`, 'end');
    expect(await engine().result(handle)).toEqual(['told', 'end']);
  });

  it('can be forked under another id, and goes on by itself', async () => {
    const id = uuid();
    const handle = await engine().start('opensGate', [id], { workflowId: id });
    await until('it runs', () => gates.has(id));
    const open = gates.get(id);
    gates.delete(id);
    const fork = await handle.reset({ toEntry: 1, workflowId: `${id} fork` });
    expect(fork.workflowId).toBe(`${id} fork`);
    await until('the fork runs', () => gates.has(id));
    gates.get(id)?.();
    expect(await engine().result(fork)).toBe(3);
    expect(await handle.status()).toBeGreaterThan(0);
    open?.();
    expect(await engine().result(handle)).toBe(3);
    expect(journal.of(id)).toEqual([1, 'begun 2', 'begun 2', 3, 3]);
    await expect(handle.reset({ toEntry: 1, workflowId: `${id} fork` })).rejects.toThrow(Errors.DuplicateJobError);
  });

  it('refuses what it cannot do', async () => {
    const id = uuid();
    const handle = await engine().start('parent', [id], { workflowId: id });
    const kid = await engine().client.workflow.getHandle('test', 'child', `${id} child`);
    await engine().awaitsSignal(kid, `${id} child go`);
    const entry = await entriesOf(engine(), id, '%"child"%');
    await expect(handle.reset({ toEntry: entry, workflowId: uuid() })).rejects.toMatchObject({ reason: 'child' });
    await expect(handle.reset({ toEntry: 99 })).rejects.toThrow(`no entry 99 to go back to; the last one is ${entry}`);
    await expect(handle.reset({ toEntry: -2 })).rejects.toThrow(/toEntry must be a whole number from -1/);
    await expect(handle.retry()).rejects.toMatchObject({ reason: 'not failed' });
    const unknown = await engine().client.workflow.getHandle('test', 'child', uuid());
    await expect(unknown.reset({ toEntry: 0 })).rejects.toThrow(Errors.GetStateError);
    await expect(unknown.retry()).rejects.toThrow(Errors.GetStateError);
    const reserved = await engine().start('child', [id], { pending: 60 });
    await expect(reserved.reset({ toEntry: 0 })).rejects.toMatchObject({ reason: 'pending' });
    await kid.signal(`${id} child go`, 'told');
    await handle.signal(`${id} go`, 'end');
    await engine().result(handle);
  });
});

describeInBothTempos('a workflow that is retried', { workflow: workflows, activities }, (engine) => {
  it('repeats the step that failed, and no other', async () => {
    const id = uuid();
    const handle = await engine().start('failing', [id], { workflowId: id });
    expect(await engine().failure(handle)).toMatchObject({ message: 'out of order' });
    const before = journal.of(id).length;
    mended.add(id);
    const retried = await handle.retry({ reason: 'mended' });
    expect(await engine().result(retried)).toEqual(['mended', 2]);
    expect(journal.of(id).slice(before)).toEqual(['fails', 2, 0]);
    expect(await runsOf(engine(), id)).toEqual([
      { run: 0, state: 'failed', cause: 'start' },
      { run: 1, state: 'completed', cause: 'retried' },
    ]);
    await expect(handle.retry()).rejects.toMatchObject({ reason: 'not failed' });
  });

  it('repeats it also when the failure names it as a cause only', async () => {
    const id = uuid();
    const handle = await engine().start('failingInItsWords', [id], { workflowId: id });
    expect(await engine().failure(handle)).toMatchObject({ message: 'no order' });
    mended.add(id);
    expect(await engine().result(await handle.retry())).toBe('mended');
    expect(journal.of(id).filter((entry) => entry === 1)).toHaveLength(1);
  });

  it('repeats all of several that failed', async () => {
    const id = uuid();
    const handle = await engine().start('failingTwice', [id], { workflowId: id, config: { maximumAttempts: 0 } });
    expect(await engine().failure(handle)).toMatchObject({ message: 'some failed' });
    mended.add(id);
    expect(await engine().result(await handle.retry())).toEqual([1, 'mended', ['mended', 2]]);
    // one of its own, one of the child's
    expect(journal.of(id).filter((entry) => entry === 1)).toHaveLength(2);
  });

  it('keeps what completed behind the failure', async () => {
    const id = uuid();
    const handle = await engine().start('failingInParallel', [id], { workflowId: id });
    await until('one branch has failed', () => journal.of(id).includes('failed'));
    gates.get(id)?.();
    await engine().failure(handle);
    mended.add(id);
    expect(await engine().result(await handle.retry())).toEqual(['mended', 1]);
    expect(journal.of(id).filter((entry) => entry === 'begun 1')).toHaveLength(1);
  });

  it('may fail again, and be retried again', async () => {
    const id = uuid();
    const handle = await engine().start('failing', [id], { workflowId: id });
    await engine().failure(handle);
    expect(await engine().failure(await handle.retry())).toMatchObject({ message: 'out of order' });
    mended.add(id);
    expect(await engine().result(await handle.retry())).toEqual(['mended', 2]);
    expect(journal.of(id).filter((entry) => entry === 1)).toHaveLength(1);
  });

  it('goes on with the fixed function when that failed by itself', async () => {
    const id = uuid();
    const handle = await engine().start('failingItself', [id], { workflowId: id });
    expect(await engine().failure(handle)).toMatchObject({ message: 'a bug' });
    mended.add(id);
    expect(await engine().result(await handle.retry())).toBe(1);
    expect(journal.of(id)).toEqual([1]);
  });

  it('retries the child that failed', async () => {
    const id = uuid();
    const handle = await engine().start('failingParent', [id], { workflowId: id });
    expect(await engine().failure(handle)).toMatchObject({ message: 'out of order' });
    mended.add(id);
    expect(await engine().result(await handle.retry())).toEqual(['mended', 2]);
    expect(journal.of(id).filter((entry) => entry === 1)).toHaveLength(1);
    expect(journal.of(`${id} parent`)).toEqual([1]);
    expect(await runsOf(engine(), `${id} child`)).toMatchObject([{ state: 'failed' }, { cause: 'retried' }]);
  });
});
