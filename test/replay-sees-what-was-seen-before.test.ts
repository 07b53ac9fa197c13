import { expect, it } from 'vitest';
import { Durable, Errors, guid, uuid, workflow } from '../src/index.js';
import { describeInBothTempos, Journal } from './support/worker.js';

const journal = new Journal();

const activities = {
  /** Takes so long that its workflow is parked in the tempo that forgets. */
  async keep(key: string, value: unknown) {
    journal.note(key, value);
    await new Promise((resolve) => setTimeout(resolve, 350));
    return value;
  },
};
const { keep } = workflow.proxyActivities<typeof activities>();

/** What it draws before each step must be what it told the activity, however often it is replayed. */
async function draws(key: string) {
  const seen: unknown[] = [];
  for (let n = 0; n < 3; n++) {
    const drawn = { random: workflow.random(), uuid: workflow.uuid4(), guid: guid(), at: workflow.now().getTime() };
    const told = await keep(key, drawn);
    seen.push({ same: JSON.stringify(told) === JSON.stringify(drawn), drawn });
  }
  return seen;
}

async function clock() {
  const times = [workflow.now().getTime()];
  await workflow.sleep(500);
  times.push(workflow.now().getTime());
  await keep('clock', null);
  times.push(workflow.now().getTime());
  return times;
}

async function info() {
  const { startedAt, isReplaying, ...rest } = workflow.workflowInfo();
  await workflow.sleep(1);
  return {
    ...rest,
    startedAt: startedAt.getTime(),
    counterLater: workflow.workflowInfo().counter,
    replaying: typeof isReplaying,
    older: workflow.getContext().workflowId,
  };
}

async function aliases() {
  const slept = [
    await workflow.sleepFor(1),
    await workflow.sleep('2ms'),
    await workflow.sleep(0),
    await workflow.sleep(-5),
  ];
  const [one, two] = await workflow.all(workflow.sleep(1), Promise.resolve('two'));
  return { slept, one, two, waited: await workflow.waitFor('nobody', 1) };
}

async function patches(key: string) {
  const seen = [await workflow.patched('first')];
  await keep(key, 1);
  seen.push(await workflow.patched('second'));
  await keep(key, 2);
  seen.push(await workflow.patched('first'), await workflow.patched('second'));
  for (let n = 0; n < 2; n++) {
    await workflow.sleep(1);
    seen.push(await workflow.patched('in a loop'));
  }
  const [left, right] = await Promise.all([
    workflow.sleep(1).then(() => workflow.patched('left')),
    keep(key, 3).then(() => workflow.patched('right')),
  ]);
  workflow.deprecatePatch('old');
  await keep(key, 4);
  return [...seen, left, right];
}

async function sharesArguments(list: number[]) {
  list.push(1);
  await keep('arguments', null);
  list.push(2);
  return list;
}

const workflows = { draws, clock, info, aliases, patches, sharesArguments };

describeInBothTempos('in a workflow', { workflow: workflows, activities }, (engine, tempo) => {
  it('random, uuid4, guid and now are the same in every replay, and others in every run', async () => {
    const [one, other] = await Promise.all(
      [1, 2].map(() => engine().run<{ same: boolean; drawn: Record<string, unknown> }[]>('draws', [uuid()])),
    );
    const all = [...(one ?? []), ...(other ?? [])];
    expect(all.map(({ same }) => same)).toEqual(Array(6).fill(true));
    for (const what of ['random', 'uuid', 'guid']) expect(new Set(all.map(({ drawn }) => drawn[what])).size).toBe(6);
    expect(all[0]?.drawn.uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('a re-used id draws other values', async () => {
    // The same id in two databases' worth of time: pending ids may be started again after they lapsed.
    const [[one], [other]] = (await Promise.all(
      ['durable', 'durable'].map(() => engine().run<{ drawn: { random: number } }[]>('draws', [uuid()])),
    )) as [[{ drawn: { random: number } }], [{ drawn: { random: number } }]];
    expect(one.drawn.random).not.toBe(other.drawn.random);
  });

  it('the clock goes forward only, and by what was slept', async () => {
    const [first = 0, second = 0, third = 0] = await engine().run<number[]>('clock');
    // It is the clock of the database as the worker knows it: behind by what its last answer took on its way.
    expect(second - first).toBeGreaterThanOrEqual(250);
    expect(third).toBeGreaterThanOrEqual(second);
    expect(Math.abs(Date.now() - third)).toBeLessThan(10_000);
  });

  it('its own facts are known', async () => {
    const handle = await engine().start('info', [], { expire: 60 });
    const seen = await engine().result<Record<string, unknown>>(handle);
    expect(seen).toMatchObject({
      workflowId: handle.workflowId,
      workflowName: 'info',
      workflowTopic: 'test-info',
      taskQueue: 'test',
      namespace: 'durable',
      workflowDimension: '',
      run: 0,
      attempt: 1,
      parentWorkflowId: null,
      expire: 60,
      canRetry: true,
      counter: 0,
      counterLater: 1,
      replaying: 'boolean',
      older: handle.workflowId,
    });
    expect(Math.abs(Date.now() - (seen.startedAt as number))).toBeLessThan(10_000);
  });

  it('older names are the newer calls', async () => {
    expect(await engine().run('aliases')).toEqual({
      slept: [0.001, 0.002, 0, 0],
      one: 0.001,
      two: 'two',
      waited: false,
    });
    expect(workflow.execChild).toBe(workflow.executeChild);
    expect(Durable.workflow).toBe(workflow);
  });

  it('patched is true wherever the code never ran before: at the start, later, in loops, in branches', async () => {
    expect(await engine().run('patches', [`${tempo.name} patches`])).toEqual(Array(8).fill(true));
  });

  it('arguments belong to each execution of the function: what it changes is not there in a replay', async () => {
    expect(await engine().run('sharesArguments', [[0]])).toEqual([0, 1, 2]);
  });
});

it.each([
  ['sleep', () => workflow.sleep(1)],
  ['condition', () => workflow.condition('x')],
  ['signal', () => workflow.signal('x')],
  ['executeChild', () => workflow.executeChild({ workflowName: 'x', args: [] })],
  ['startChild', () => workflow.startChild({ workflowName: 'x', args: [] })],
  ['continueAsNew', () => workflow.continueAsNew()],
  ['patched', () => workflow.patched('x')],
  ['doIt', () => workflow.proxyActivities<{ doIt(): Promise<void> }>().doIt()],
  ['random', async () => workflow.random()],
  ['uuid4', async () => workflow.uuid4()],
  ['now', async () => workflow.now()],
  ['workflowInfo', async () => workflow.workflowInfo()],
  ['CancellationScope.nonCancellable', async () => workflow.CancellationScope.nonCancellable(async () => 1)],
])('%s outside of a workflow says so', async (name, call) => {
  await expect(call()).rejects.toThrow(
    `${name}: called outside of a workflow. Call it from a function that a worker runs; wrap the callback of an event emitter, a queue or a timer with AsyncResource.bind`,
  );
  await expect(call()).rejects.toBeInstanceOf(Errors.WorkflowContextError);
});

it('guid and uuid outside of a workflow are random', () => {
  expect(guid()).toMatch(/^H[\w-]{22}$/);
  expect(guid(8)).toHaveLength(9);
  expect(guid()).not.toBe(guid());
  expect(uuid()).not.toBe(uuid());
});
