/** Every call of a workflow, in one of them, whose process dies before and behind each of its commits: what it gives stays the same. */
import { expect, it } from 'vitest';
import { Durable, proxyActivities, workflow } from '../src/index.js';
import { crashTest } from '../src/testing/index.js';

const activities = {
  async double(n: number) {
    return 2 * n;
  },
  async declines() {
    throw Object.assign(new Error('no money'), { nonRetryable: true });
  },
  /** Fails until an attempt before it has said how far it came. */
  async resumes() {
    const { heartbeatDetails, heartbeat, attempt } = Durable.activity.getContext();
    heartbeat({ line: 7 });
    if (attempt === 1 || heartbeatDetails === undefined) throw new Error('again');
    return heartbeatDetails;
  },
  async endless() {
    const { signal } = Durable.activity.getContext();
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  },
};
const { double, resumes, endless } = proxyActivities<typeof activities>({
  retry: { initialInterval: '1 minute', maximumAttempts: 20 },
});
const { declines } = proxyActivities<typeof activities>({ retry: { throwOnError: false } });

const nameOf = (error: Error) => error.name;
const { CancellationScope } = workflow;

async function counts(by: number, { signal } = { signal: '' }) {
  const seen = await (await workflow.search()).incr('count', by);
  await workflow.emit({ counted: seen });
  await workflow.signal(signal, by);
}

async function waits() {
  await workflow.condition('nobody');
}

async function first() {
  const { taskQueue, workflowId: id } = workflow.workflowInfo();
  const search = await workflow.search();
  const cart = await workflow.entity();
  const fields = [
    await search.set({ state: 'open', count: 1 }),
    await search.incr('count', 0.1),
    await search.mult('price', 12),
  ];
  await workflow.enrich({ customer: 'c-1' });
  const document = await cart.set({ items: [] as string[], on: false });
  const merged = await cart.merge({ deep: { er: { still: 1 } } });
  const changed = [await cart.append('items', 'a'), await cart.increment('deep.er.still', 2), await cart.toggle('on')];
  await workflow.emit({ begun: id });
  await workflow.trace({ id });
  const way = (await workflow.patched('newly')) ? 'new' : 'old';
  await workflow.isSideEffectAllowed(null, 'tell');
  const drawn = [workflow.random(), workflow.uuid4(), Durable.guid()].map((value) => typeof value);
  const step = await workflow.run('in place', () => 5);
  const failed = ((await declines()) as unknown) instanceof Error;
  const answers = await workflow.all(
    double(2),
    workflow.execHook<number>({ taskQueue, workflowName: 'counts', args: [10] }),
    workflow.execHookBatch([
      { key: 'a', options: { taskQueue, workflowName: 'counts', args: [100] } },
      { key: 'b', options: { taskQueue, workflowName: 'counts', args: [1000] } },
    ]),
    resumes(),
  );
  const late = await CancellationScope.withTimeout('1 hour', () => workflow.sleep('1 year')).catch(nameOf);
  const scope = new CancellationScope();
  const given = scope.run(() => endless()).catch(nameOf);
  await double(3);
  scope.cancel();
  const shielded = await CancellationScope.nonCancellable(() => workflow.sleep('1 minute'));
  const timedOut = await workflow.condition('too late', '1 hour');
  await workflow.signal(`${id} self`, { to: 'myself' });
  const own = await workflow.condition(`${id} self`);
  const child = { workflowName: 'waits', args: [], workflowId: `${id} child` };
  await workflow.startChild(child);
  const taken = await workflow.executeChild(child).catch(nameOf);
  await workflow.terminate(child.workflowId, { descend: true });
  const ended = await workflow.terminate(child.workflowId).catch(nameOf);
  const unknown = await workflow
    .hook({ taskQueue, workflowName: 'counts', args: [1], workflowId: 'nobody' })
    .catch(nameOf);
  const sum = await search.mget('count', 'price', 'customer', 'missing');
  await workflow.continueAsNew([
    [fields, document, merged, changed, way],
    [drawn, step, failed, answers],
    [late, await given, shielded, timedOut, own],
    [taken, ended, unknown, sum],
  ]);
}

/** The run that follows has an empty history, and what was written before. */
async function everything(before?: unknown): Promise<unknown> {
  if (before === undefined) return await first();
  const search = await workflow.search();
  const cart = await workflow.entity();
  return [before, [await search.del('price', 'missing'), await search.get('count'), await cart.get('deep.er.still')]];
}

it('a workflow that calls everything gives the same, whichever commit its process dies at', async () => {
  const test = {
    workflow: { everything, counts, waits },
    workflowName: 'everything',
    activities,
  };
  const { commits } = await crashTest({ ...test, seeds: 0 });
  expect(commits).toBeGreaterThan(30);
  // Two for each commit: before and behind it. `CRASHES=all` takes them all, otherwise some of both kinds.
  const all = Array.from({ length: 2 * commits }, (_, seed) => seed);
  const seeds = process.env.CRASHES === 'all' ? all : all.filter((seed) => seed % 9 === 4);
  const report = await crashTest({ ...test, seeds });
  // How many commits there are is up to what happens to go out together: some of the later ones may not come.
  expect(report.crashes).toBeGreaterThan(seeds.length / 2);
  expect(report.result).toEqual([
    [
      [
        [2, 1.1, 12],
        { items: [], on: false },
        { items: [], on: false, deep: { er: { still: 1 } } },
        [['a'], 3, true],
        'new',
      ],
      [['number', 'string', 'string'], 5, true, [4, 10, { a: 100, b: 1000 }, { line: 7 }]],
      ['CancelledFailure', 'CancelledFailure', 60, false, { to: 'myself' }],
      ['DuplicateJobError', 'InactiveJobError', 'GetStateError', ['1111.1', '12', 'c-1', '']],
    ],
    [1, '1111.1', 3],
  ]);
});
