import { describe, expect, it } from 'vitest';
import { Errors, type TerminateOptions, uuid, type WorkflowHandle, workflow } from '../src/index.js';
import { describeInBothTempos, Engine, Journal, kept, until } from './support/worker.js';

const journal = new Journal();
const activities = {
  async note(id: string) {
    journal.note(id);
    return 'noted';
  },
};
const { note } = workflow.proxyActivities<typeof activities>();

const told = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'ended',
    (error: Error) => `${error.constructor.name}: ${error.message}`,
  );

async function waits(id: string) {
  await workflow.condition(`${id} go`);
  journal.note(`${id} went on`);
}

/** Ends the others, one after the other, each twice. */
async function ends(targets: string[], options?: TerminateOptions) {
  const answers: unknown[] = [];
  for (const target of targets)
    for (let n = 0; n < 2; n++) answers.push(await told(workflow.terminate(target, options)));
  await workflow.sleep(5);
  return answers;
}

async function endsUnawaited(target: string) {
  void workflow.interrupt(target, { reason: 'by the way', code: 444 });
}

async function endsItself(id: string, how: 'awaited' | 'beside') {
  const { workflowId } = workflow.workflowInfo();
  await note(`${id} before`);
  if (how === 'beside') await Promise.all([workflow.terminate(workflowId, { reason: 'enough' }), note(`${id} beside`)]);
  try {
    await workflow.terminate(workflowId, { reason: 'enough' });
  } finally {
    await note(`${id} behind`);
  }
}

async function endsWhatItStarted(id: string) {
  const child = told(workflow.executeChild({ workflowName: 'waits', workflowId: `${id} child`, args: [id] }));
  await workflow.terminate(`${id} child`, { reason: 'not needed' });
  return await child;
}

/** A tree of workflows: each starts two, one awaited, one not. */
async function family(id: string, generations: number): Promise<void> {
  const { workflowId } = workflow.workflowInfo();
  if (generations > 0) {
    const options = { workflowName: 'family', args: [id, generations - 1] };
    await workflow.startChild({ ...options, workflowId: `${workflowId}.s` });
    await workflow.executeChild({ ...options, workflowId: `${workflowId}.a` });
  }
  await workflow.condition(`${id} never`);
}

async function endsFamily(id: string) {
  await workflow.terminate(id, { descend: true, reason: 'all of you' });
}

const workflows = { waits, ends, endsUnawaited, endsItself, endsWhatItStarted, family, endsFamily };

/** A whole family of 2^generations - 1 workflows, all waiting. */
async function begin(engine: Engine, generations: number): Promise<{ id: string; handles: WorkflowHandle[] }> {
  const id = uuid();
  await engine.start('family', [id, generations - 1], { workflowId: id });
  const names = [id];
  for (let n = 0; n < 2 ** (generations - 1) - 1; n++) names.push(`${names[n]}.s`, `${names[n]}.a`);
  const handles = await Promise.all(names.map((name) => engine.client.workflow.getHandle('test', 'family', name)));
  await until('all wait', async () => {
    const open = await engine.sql('select from execution where workflow_id like $1', [`${id}%`]);
    return open.length === names.length;
  });
  return { id, handles };
}

const stateOf = async (handle: WorkflowHandle) => [
  await handle.status(),
  ((await handle.result().catch((e) => e)) as Error).message,
];

describeInBothTempos('a workflow', { workflow: workflows, activities }, (engine) => {
  it('ends another; what cannot be ended is an error at the call, the same in every replay', async () => {
    const id = uuid();
    const other = await engine().start('waits', [id]);
    await engine().awaitsSignal(other, `${id} go`);
    const { workflowId } = other;
    const answers = await engine().run('ends', [[workflowId, `${id} nobody`], { reason: 'enough', code: 444 }]);
    expect(answers).toEqual([
      'ended',
      `InactiveJobError: Job ${workflowId} already completed`,
      `GetStateError: Job ${id} nobody not found`,
      `GetStateError: Job ${id} nobody not found`,
    ]);
    const error = await engine().failure(other);
    expect(error).toBeInstanceOf(Errors.TerminatedError);
    expect(error).toMatchObject({ message: 'enough', code: 444, job_id: workflowId });
    expect(await other.status()).toBeLessThan(-1_000_000);
    expect(journal.count(`${id} went on`)).toBe(0);
  });

  it('may be content with there being nothing to end, and may leave no error', async () => {
    const id = uuid();
    const other = await engine().start('waits', [id]);
    const options = { suppress: true, throw: false, expire: 60 };
    expect(await engine().run('ends', [[other.workflowId, `${id} nobody`], options])).toEqual(Array(4).fill('ended'));
    expect(await other.result()).toBeUndefined();
  });

  it('ends another though nobody awaits the call, by the older name too', async () => {
    const other = await engine().start('waits', [uuid()]);
    await engine().run('endsUnawaited', [other.workflowId]);
    expect(await engine().failure(other)).toMatchObject({ message: 'by the way', code: 444 });
  });

  it.each(['awaited', 'beside'] as const)('may end itself: no code behind it executes (%s)', async (how) => {
    const id = uuid();
    const handle = await engine().start('endsItself', [id, how]);
    expect(await engine().failure(handle)).toMatchObject({ message: 'enough', code: 410, job_id: handle.workflowId });
    expect(await handle.status()).toBeLessThan(-1_000_000);
    expect(journal.count(`${id} before`)).toBe(1);
    expect(journal.count(`${id} behind`)).toBe(0);
    expect(journal.count(`${id} beside`)).toBe(0);
  });

  it('may end a child in the step that starts it, and hears of it', async () => {
    expect(await engine().run('endsWhatItStarted', [uuid()])).toBe('TerminatedError: not needed');
  });

  it('ends another with all its descendants, awaited or not', async () => {
    const { id, handles } = await begin(engine(), 4);
    await engine().run('endsFamily', [id]);
    for (const handle of handles) {
      const error = await engine().failure(handle);
      expect(error).toMatchObject({ message: 'all of you', code: 410, job_id: handle.workflowId });
    }
  });

  it('and its descendants end by the handle before that resolves', async () => {
    const { handles } = await begin(engine(), 4);
    const other = await begin(engine(), 2);
    await handles[0]!.terminate({ descend: true, reason: 'all of you' });
    const states = await Promise.all(handles.map(stateOf));
    expect(states).toEqual(handles.map(() => [-1_000_000_000, 'all of you']));
    expect(await Promise.all(other.handles.map((handle) => handle.status()))).toEqual([1, 1, 1]);
    await other.handles[0]!.terminate({ descend: true });
  });

  it('without descend leaves its children running', async () => {
    const { handles } = await begin(engine(), 2);
    await handles[0]!.terminate();
    expect(await Promise.all(handles.slice(1).map((handle) => handle.status()))).toEqual([1, 1]);
    for (const handle of handles.slice(1)) await handle.terminate();
  });
});

describe('the end of a family', () => {
  it('goes on when whoever asked for it is gone', async () => {
    const engine = await Engine.open({ workflow: workflows, activities, tempo: kept });
    const { id, handles } = await begin(engine, 4);
    // As if the client had died behind the first transaction.
    await engine.sql(`select * from terminate(false, 4711, $1, '{"message":"x","name":"x"}', null, true, null)`, [id]);
    await until('all have ended', async () => {
      const open = await engine.sql(`select from execution where state = 'open'`);
      return open.length === 0;
    });
    expect(await Promise.all(handles.map((handle) => handle.status()))).toEqual(handles.map(() => -1_000_000_000));
    await engine.close();
  });
});

describe('what makes no sense', () => {
  it.each<[string, unknown[], RegExp]>([
    ['an option that is none', ['x', { reson: 'x' }], /terminate: reson is unknown|reason/],
    ['a code that is no number', ['x', { code: '4' }], /terminate: code must be a whole number/],
    ['no workflow id', [undefined], /terminate: workflowId must be/],
  ])('%s is refused before any effect', async (_what, args, message) => {
    const engine = await Engine.open({
      workflow: {
        async misuse() {
          return await told((workflow.terminate as (...args: unknown[]) => Promise<void>)(...args));
        },
      },
      tempo: kept,
    });
    const answer = await engine.run('misuse');
    expect(answer).toMatch(/^InvalidArgumentError: /);
    expect(answer).toMatch(message);
    await engine.close();
  });
});
