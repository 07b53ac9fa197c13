import { expect, it } from 'vitest';
import { type ChildWorkflowOptions, Errors, uuid, workflow } from '../src/index.js';
import { describeInBothTempos, Journal, until } from './support/worker.js';

const journal = new Journal();

async function double(n: number) {
  return n * 2;
}

async function doubles(count: number) {
  const results = await Promise.all(
    Array.from({ length: count }, (_, n) => workflow.executeChild<number>({ workflowName: 'double', args: [n] })),
  );
  return results;
}

async function tree(depth: number): Promise<number> {
  if (depth === 0) return 1;
  const sides = [1, 2].map(() => workflow.executeChild<number>({ workflowName: 'tree', args: [depth - 1] }));
  const [left = 0, right = 0] = await Promise.all(sides);
  return left + right;
}

async function told(signalId: string) {
  return { told: await workflow.condition(signalId) };
}

async function starter(workflowId: string) {
  journal.note(workflow.workflowInfo().workflowId);
  const id = await workflow.startChild({ workflowName: 'told', workflowId, args: [`${workflowId} signal`] });
  return { id };
}

async function awaiter(workflowId: string) {
  return await workflow.executeChild({ workflowName: 'told', workflowId, args: [`${workflowId} signal`] });
}

async function twice(workflowId: string, call: 'startChild' | 'executeChild') {
  await workflow.startChild({ workflowName: 'double', workflowId, args: [1] });
  try {
    await workflow[call]({ workflowName: 'double', workflowId, args: [2] });
    return 'started twice';
  } catch (error) {
    const { name, message } = error as Error;
    return { name, message, jobId: (error as { jobId?: string }).jobId, is: error instanceof Errors.DuplicateJobError };
  }
}

async function twiceAtOnce(workflowId: string) {
  const outcomes = await Promise.allSettled(
    [1, 2, 3].map((n) => workflow.executeChild<number>({ workflowName: 'double', workflowId, args: [n] })),
  );
  return outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : (outcome.reason as Error).name));
}

async function uncaughtDuplicate(workflowId: string) {
  await workflow.executeChild({ workflowName: 'double', workflowId, args: [1] });
}

async function lineage(depth: number): Promise<unknown[]> {
  const { workflowId, parentWorkflowId, originJobId, taskQueue, expire } = workflow.workflowInfo();
  const me = { workflowId, parentWorkflowId, originJobId: originJobId ?? null, taskQueue, expire };
  if (depth === 0) return [me];
  return [me, ...(await workflow.executeChild<unknown[]>({ workflowName: 'lineage', args: [depth - 1] }))];
}

async function options(child: ChildWorkflowOptions) {
  return await workflow.executeChild(child);
}

async function leaver(workflowId: string) {
  await workflow.startChild({ workflowName: 'told', workflowId, args: [`${workflowId} signal`] });
  void workflow.executeChild({ workflowName: 'told', workflowId: `${workflowId} 2`, args: ['never'] });
  await workflow.sleep(10);
  return 'left';
}

const workflows = {
  double,
  doubles,
  tree,
  told,
  starter,
  awaiter,
  twice,
  twiceAtOnce,
  uncaughtDuplicate,
  lineage,
  options,
  leaver,
};

describeInBothTempos('a child workflow', { workflow: workflows }, (engine) => {
  const handleOf = (workflowId: string) => engine().client.workflow.getHandle('test', 'told', workflowId);
  const started = async (workflowId: string) => {
    const handle = await handleOf(workflowId);
    await until('the child is there', () => handle.status().then(Boolean, () => false));
    return handle;
  };

  it('gives its result to the parent that waits for it', async () => {
    const childId = uuid();
    const parent = await engine().start('awaiter', [childId]);
    const child = await started(childId);
    await engine().waits(parent);
    await engine().awaitsSignal(child, `${childId} signal`);
    await child.signal(`${childId} signal`, 'news');
    expect(await engine().result(parent)).toEqual({ told: 'news' });
    expect(await engine().result(child)).toEqual({ told: 'news' });
  });

  it('runs beside its siblings; results come in the order of the calls', async () => {
    expect(await engine().run('doubles', [50])).toEqual(Array.from({ length: 50 }, (_, n) => n * 2));
  });

  it('may have children of its own', async () => {
    expect(await engine().run('tree', [4])).toBe(16);
  });

  it('that was only started outlives its parent, which does not wait', async () => {
    const childId = uuid();
    expect(await engine().run('starter', [childId])).toEqual({ id: childId });
    const child = await started(childId);
    expect(await child.status()).toBe(1);
    await child.signal(`${childId} signal`, 'alone');
    expect(await engine().result(child)).toEqual({ told: 'alone' });
  });

  it('outlives a parent that returned without waiting for it', async () => {
    const childId = uuid();
    expect(await engine().run('leaver', [childId])).toBe('left');
    for (const [id, signal] of [
      [childId, `${childId} signal`],
      [`${childId} 2`, 'never'],
    ] as const) {
      const child = await started(id);
      await engine().awaitsSignal(child, signal);
      await child.signal(signal, 'still there');
      expect(await engine().result(child)).toEqual({ told: 'still there' });
    }
  });

  it.each(['startChild', 'executeChild'] as const)('%s with an id that is taken throws in the parent', async (call) => {
    const childId = uuid();
    expect(await engine().run('twice', [childId, call])).toEqual({
      name: 'DuplicateJobError',
      message: `Duplicate job: ${childId}`,
      jobId: childId,
      is: true,
    });
  });

  it('is started once when its parent asks three times in one step', async () => {
    const outcomes = await engine().run<unknown[]>('twiceAtOnce', [uuid()]);
    expect(outcomes.sort()).toEqual([2, 'DuplicateJobError', 'DuplicateJobError']);
  });

  it('cannot take the id of a workflow that a client started', async () => {
    const workflowId = uuid();
    await engine().run('double', [1], { workflowId });
    const handle = await engine().start('uncaughtDuplicate', [workflowId], { config: { maximumAttempts: 0 } });
    expect(await engine().failure(handle)).toMatchObject({ message: `Duplicate job: ${workflowId}` });
  });

  it('knows its parent, its root and its queue', async () => {
    const root = await engine().start('lineage', [2], { expire: 3600 });
    const [first, second, third] = await engine().result<Record<string, unknown>[]>(root);
    expect(first).toEqual({
      workflowId: root.workflowId,
      parentWorkflowId: null,
      originJobId: null,
      taskQueue: 'test',
      expire: 3600,
    });
    expect(second).toMatchObject({
      parentWorkflowId: root.workflowId,
      originJobId: root.workflowId,
      taskQueue: 'test',
      expire: 3600,
    });
    expect(third).toMatchObject({ parentWorkflowId: second?.workflowId, originJobId: root.workflowId });
  });

  it('is retried by its own config', async () => {
    const child = { workflowName: 'lineage', args: [0], config: { maximumAttempts: 3 }, expire: 7 };
    expect(await engine().run('options', [child])).toMatchObject([{ expire: 7 }]);
  });

  it.each([
    [{ workflowName: 'double', args: 1 }, 'executeChild: args must be an array'],
    [{ workflowName: 'double' }, 'executeChild: args must be'],
    [{ args: [] }, 'executeChild: workflowName must be'],
    [{ workflowName: 'double', args: [], workflowID: 'x' }, 'unknown option "workflowID"; did you mean "workflowId"?'],
    [{ workflowName: 'double', args: [], workflowId: 'x'.repeat(513) }, 'executeChild: workflowId must be'],
    [{ workflowName: 'double', args: [], config: { maximumAttempts: -1 } }, 'config.maximumAttempts must be'],
    [{ workflowName: 'double', args: [], expire: -1 }, 'executeChild: expire must be'],
    [{ workflowName: 'double', args: [], search: { data: { a: 'x\0y' } } }, 'search'],
  ])('asked for badly (%j) is refused in its parent', async (child, message) => {
    const handle = await engine().start('options', [child], { config: { maximumAttempts: 0 } });
    expect((await engine().failure(handle)).message).toContain(message);
  });
});
