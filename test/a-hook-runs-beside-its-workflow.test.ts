/** Hooks: threads of their own inside a workflow, in both tempos. */

import { expect, it } from 'vitest';
import { Errors, type HookOptions, uuid, workflow } from '../src/index.js';
import { describeInBothTempos, Engine, Journal, kept, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();
const taskQueue = 'test';

const { note } = workflow.proxyActivities<{ note: (key: string, entry?: unknown) => Promise<void> }>();

interface Answering {
  readonly signal: string;
  readonly $durable: true;
}

// ---- functions that run as hooks

async function greet(name: string, { signal }: Answering) {
  await workflow.sleep(5);
  await workflow.signal(signal, `hello ${name}`);
}

/** Leaves by its last statement, unawaited. */
async function wave(name: string, { signal }: Answering) {
  void workflow.signal(signal, `bye ${name}`);
}

async function tell(key: string) {
  const info = workflow.workflowInfo();
  await note(key, { ...info, drawn: workflow.random(), guid: workflow.uuid4() });
}

async function flaky(key: string, failures: number, { signal }: Answering) {
  const { attempt } = workflow.workflowInfo();
  await note(key, 'before');
  if (attempt <= failures) throw new RangeError(`attempt ${attempt}`);
  await workflow.signal(signal, attempt);
}

async function fail(message: string) {
  await workflow.sleep(1);
  throw new Errors.DurableFatalError(message);
}

/** Works with everything a workflow may use, and answers with what came of it. */
async function everything(key: string, { signal }: Answering) {
  const [child, passed] = await Promise.all([
    workflow.executeChild<number>({ taskQueue, workflowName: 'double', args: [4] }),
    workflow.condition<string>(`${key} go`),
    note(key, 'activity'),
    workflow.sleep(3),
  ]);
  const patched = await workflow.patched('a change');
  const nested = await workflow.execHook<string>({ taskQueue, workflowName: 'greet', args: ['nested'] });
  await workflow.signal(signal, { child, passed, patched, nested });
}

async function waits(key: string) {
  await note(key, 'waits');
  try {
    await workflow.condition(`${key} never`);
  } catch (error) {
    await note(key, (error as Error).name);
    throw error;
  }
}

async function continues() {
  await workflow.continueAsNew();
}

async function unencodable() {
  return () => 1;
}

// ---- workflows

async function double(n: number) {
  return n * 2;
}

async function asks(name: string, hook = 'greet') {
  return await workflow.execHook({ taskQueue, workflowName: hook, args: [name] });
}

async function asksAll(count: number) {
  const names = Array.from({ length: count }, (_, n) => `n${n}`);
  return await Promise.all(names.map((name) => asks(name)));
}

async function asksBatch() {
  return await workflow.execHookBatch<{ first: string; __proto__: string }>([
    { key: 'first', options: { taskQueue, workflowName: 'greet', args: ['first'] } },
    { key: '__proto__', options: { taskQueue, workflowName: 'wave', args: ['second'] } },
  ]);
}

/** Opens hooks, lets them come to their ends, and answers with what they could not disturb. */
async function opens(hooks: HookOptions[], until: string) {
  const ids = await Promise.all(hooks.map((one) => workflow.hook(one)));
  return { ids, told: await workflow.condition(until) };
}

async function catches(call: 'hook' | 'execHook', options: HookOptions) {
  try {
    return { answer: await workflow[call](options) };
  } catch (error) {
    const { name, message, cause } = error as Error;
    await note('behind', message);
    return { name, message, cause: (cause as Error | undefined)?.name };
  }
}

async function returnsTheError(options: HookOptions) {
  const error = await workflow.execHook<Error>({ ...options, config: { throwOnError: false, maximumAttempts: 0 } });
  return [error instanceof Error, error.message];
}

/** Its caller keeps the options. */
async function keepsOptions() {
  const args = Object.freeze(['kept']);
  const options = Object.freeze({ taskQueue, workflowName: 'greet', args });
  return [await workflow.execHook(options), await workflow.execHook(options), args];
}

async function opensAndEnds(key: string) {
  void workflow.hook({ taskQueue, workflowName: 'waits', args: [key] });
  return 'ended';
}

async function opensAndWaits(key: string, signalIn = true) {
  if (signalIn) await workflow.hook({ taskQueue, workflowName: 'waits', args: [key] });
  return await workflow.condition(`${key} go on`);
}

async function opensAndContinues(key: string, run = 0): Promise<string> {
  if (run > 0) return 'continued';
  await workflow.hook({ taskQueue, workflowName: 'waits', args: [key] });
  await workflow.condition(`${key} go on`);
  return await workflow.continueAsNew(key, 1);
}

async function cancelledWhileAsking(key: string) {
  try {
    return await workflow.execHook({ taskQueue, workflowName: 'waits', args: [key] });
  } catch (error) {
    return [(error as Error).name, workflow.isCancellation(error)];
  }
}

/** Swallows its cancellation. */
async function survives(key: string) {
  await workflow.hook({ taskQueue, workflowName: 'waits', args: [key] });
  await workflow.condition(`${key} never`).catch(() => {});
  return await workflow.condition(`${key} go on`);
}

async function outsider(workflowId: string) {
  return await workflow.execHook({ workflowId, taskQueue, workflowName: 'greet', args: ['from outside'] });
}

const workflows = {
  ...{ greet, wave, tell, flaky, fail, everything, waits, continues, unencodable },
  ...{ double, asks, asksAll, asksBatch, opens, catches, returnsTheError, keepsOptions },
  ...{ opensAndEnds, opensAndWaits, opensAndContinues, cancelledWhileAsking, survives, outsider },
};
const activities = { note: async (key: string, entry: unknown) => journal.note(key, entry) };
const once = { maximumAttempts: 0 };

describeInBothTempos('a hook', { workflow: workflows, activities }, (engine) => {
  const hookIn = (workflowId: string, workflowName: string, args: unknown[], options: Partial<HookOptions> = {}) =>
    engine().client.workflow.hook({ taskQueue, workflowName, workflowId, args, ...options });
  const hooksOf = (workflowId: string) =>
    engine().sql<{ state: string; config: string | null }>(
      `select k.state, k.config from hook k join execution e using (run_no) where e.workflow_id = $1 order by hook_no`,
      [workflowId],
    );
  const failureOf = (call: Promise<unknown>) =>
    call.then(
      () => null,
      (error: Error) => error,
    );

  it('answers its caller by signal', async () => {
    expect(await engine().run('asks', ['you'])).toBe('hello you');
  });

  it('answers by an unawaited signal that is its last statement', async () => {
    expect(await engine().run('asks', ['you', 'wave'])).toBe('bye you');
  });

  it('runs beside any number of others, each with an answer of its own', async () => {
    expect(await engine().run('asksAll', [50])).toEqual(Array.from({ length: 50 }, (_, n) => `hello n${n}`));
  });

  it('of a batch answers under its key', async () => {
    const answers = await engine().run<Record<string, string>>('asksBatch');
    expect(Object.entries(answers)).toEqual([
      ['first', 'hello first'],
      ['__proto__', 'bye second'],
    ]);
  });

  it('leaves its caller’s options as they are', async () => {
    expect(await engine().run('keepsOptions')).toEqual(['hello kept', 'hello kept', ['kept']]);
  });

  it('may use what workflows use, and be reached by signals to its workflow', async () => {
    const key = uuid();
    const handle = await engine().start('asks', [key, 'everything']);
    await handle.signal(`${key} go`, 'passed');
    expect(await engine().result(handle)).toEqual({
      child: 8,
      passed: 'passed',
      patched: true,
      nested: 'hello nested',
    });
    expect(journal.of(key)).toEqual(['activity']);
  });

  it('knows its workflow, and which of its threads it is; draws numbers of its own', async () => {
    const key = uuid();
    const tells = [0, 1].map(() => ({ taskQueue, workflowName: 'tell', args: [key] }));
    const handle = await engine().start('opens', [tells, key]);
    await until('both told', () => journal.count(key) === 2);
    await handle.signal(key, 1);
    const { ids } = await engine().result<{ ids: string[] }>(handle);
    expect(new Set(ids).size).toBe(2);
    const told = journal.of(key) as { workflowDimension: string; drawn: number; guid: string }[];
    expect(told.map(({ workflowDimension }) => workflowDimension).sort()).toEqual([',0,0', ',0,1']);
    expect(told[0]).toMatchObject({ workflowId: handle.workflowId, workflowName: 'tell', taskQueue, run: 0 });
    expect(new Set(told.map(({ drawn }) => drawn)).size).toBe(2);
    expect(new Set(told.map(({ guid }) => guid)).size).toBe(2);
  });

  it('is opened by a client, who learns its id; its fields are there before it runs', async () => {
    const key = uuid();
    const handle = await engine().start('opensAndWaits', [key, false]);
    const id = await hookIn(handle.workflowId, 'tell', [key], { search: { data: { told: 7 } } });
    expect(id).toMatch(/^\d+$/);
    await until('it told', () => journal.count(key) === 1);
    const [row] = await engine().sql(
      'select d.search from document d join execution e using (run_no) where e.workflow_id = $1',
      [handle.workflowId],
    );
    expect(row).toEqual({ search: { told: '7' } });
    await handle.signal(`${key} go on`, 'ended');
    expect(await engine().result(handle)).toBe('ended');
  });

  it('opened by many clients at once runs for each of them', async () => {
    const key = uuid();
    const handle = await engine().start('opensAndWaits', [key, false]);
    const ids = await Promise.all(Array.from({ length: 40 }, () => hookIn(handle.workflowId, 'tell', [key])));
    expect(new Set(ids).size).toBe(40);
    await until('all told', () => journal.count(key) === 40);
    await handle.signal(`${key} go on`, 1);
    await engine().result(handle);
  });

  it('runs in another workflow, by its id', async () => {
    const key = uuid();
    const handle = await engine().start('opensAndWaits', [key, false]);
    expect(await engine().run('outsider', [handle.workflowId])).toBe('hello from outside');
    expect(await hooksOf(handle.workflowId)).toHaveLength(1);
    await handle.signal(`${key} go on`, 1);
    await engine().result(handle);
  });

  it('is retried by its own config, and repeats no step', async () => {
    const key = uuid();
    const options = {
      taskQueue,
      workflowName: 'flaky',
      args: [key, 2],
      config: { ...retryAtOnce, maximumAttempts: 2 },
    };
    expect(await engine().run('catches', ['execHook', options], { config: once })).toEqual({ answer: 3 });
    expect(journal.of(key)).toEqual(['before']);
  });

  it('is retried by its workflow’s config when it has none', async () => {
    const key = uuid();
    const options = { taskQueue, workflowName: 'flaky', args: [key, 1] };
    const config = { ...retryAtOnce, maximumAttempts: 1 };
    expect(await engine().run('catches', ['execHook', options], { config })).toEqual({ answer: 2 });
  });

  it('that fails for good throws in the caller that waits for it', async () => {
    const options = {
      taskQueue,
      workflowName: 'flaky',
      args: [uuid(), 9],
      config: { ...retryAtOnce, maximumAttempts: 1 },
    };
    expect(await engine().run('catches', ['execHook', options])).toEqual({
      name: 'RangeError',
      message: 'attempt 2',
      cause: undefined,
    });
    const fatal = { taskQueue, workflowName: 'fail', args: ['no'] };
    expect(await engine().run('catches', ['execHook', fatal])).toMatchObject({
      name: 'DurableFatalError',
      message: 'no',
    });
    expect(await engine().run('returnsTheError', [fatal])).toEqual([true, 'no']);
  });

  it('that fails for good and is not awaited disturbs nobody', async () => {
    const key = uuid();
    const handle = await engine().start('opens', [[{ taskQueue, workflowName: 'fail', args: ['alone'] }], key]);
    await until('it failed', async () => (await hooksOf(handle.workflowId))[0]?.state === 'failed');
    expect(await handle.status()).toBe(1);
    await handle.signal(key, 'on');
    expect(await engine().result(handle)).toMatchObject({ told: 'on' });
    expect(await handle.state()).not.toHaveProperty('$error');
  });

  it('may return anything: nobody gets it', async () => {
    const key = uuid();
    const handle = await engine().start('opens', [[{ taskQueue, workflowName: 'unencodable', args: [] }], key]);
    await until('it ended', async () => (await hooksOf(handle.workflowId))[0]?.state === 'completed');
    await handle.signal(key, 'on');
    await engine().result(handle);
  });

  it('cannot be continued as new', async () => {
    const options = { taskQueue, workflowName: 'continues', args: [], config: once };
    const { message } = await engine().run<{ message: string }>('catches', ['execHook', options]);
    expect(message).toContain('continueAsNew: called in a hook');
  });

  it('ends with its main function', async () => {
    const key = uuid();
    const handle = await engine().start('opensAndWaits', [key]);
    await until('the hook waits', () => journal.count(key) === 1);
    await handle.signal(`${key} go on`, 1);
    await engine().result(handle);
    expect(await hooksOf(handle.workflowId)).toMatchObject([{ state: 'ended' }]);
    expect(journal.of(key)).toEqual(['waits']);
  });

  it('opened by the last statement of the main function ends before it began', async () => {
    const key = uuid();
    const handle = await engine().start('opensAndEnds', [key]);
    expect(await engine().result(handle)).toBe('ended');
    expect(await hooksOf(handle.workflowId)).toMatchObject([{ state: 'ended' }]);
    expect(journal.of(key)).toEqual([]);
  });

  it('ends when its workflow continues as new', async () => {
    const key = uuid();
    const handle = await engine().start('opensAndContinues', [key]);
    await until('the hook waits', () => journal.count(key) === 1);
    await handle.signal(`${key} go on`, 1);
    expect(await engine().result(handle)).toBe('continued');
    expect(await hooksOf(handle.workflowId)).toMatchObject([{ state: 'ended' }]);
  });

  it('ends when its workflow is terminated', async () => {
    const key = uuid();
    const handle = await engine().start('opensAndWaits', [key]);
    await until('the hook waits', () => journal.count(key) === 1);
    await handle.terminate();
    expect((await engine().failure(handle)).name).toBe('TerminatedError');
    expect(await hooksOf(handle.workflowId)).toMatchObject([{ state: 'ended' }]);
  });

  it('whose workflow ends first fails in the caller that waits in another one', async () => {
    const key = uuid();
    const target = await engine().start('opensAndWaits', [key, false]);
    const options = { workflowId: target.workflowId, taskQueue, workflowName: 'waits', args: [key] };
    const caller = await engine().start('catches', ['execHook', options]);
    await until('the hook waits', () => journal.count(key) === 1);
    await target.signal(`${key} go on`, 1);
    expect(await engine().result(caller)).toMatchObject({
      name: 'DurableFatalError',
      message: `Job ${target.workflowId} already completed`,
      cause: 'InactiveJobError',
    });
  });

  it('is cancelled with its workflow, and so is who waits for it', async () => {
    const key = uuid();
    const handle = await engine().start('cancelledWhileAsking', [key]);
    await until('the hook waits', () => journal.count(key) === 1);
    await engine().waits(handle);
    await handle.cancel();
    expect(await engine().result(handle)).toEqual(['CancelledFailure', true]);
  });

  it('hears of a cancel request though the main function goes on', async () => {
    const key = uuid();
    const handle = await engine().start('survives', [key]);
    await until('the hook waits', () => journal.count(key) === 1);
    await handle.cancel();
    await until('the hook was cancelled', async () => (await hooksOf(handle.workflowId))[0]?.state === 'cancelled');
    expect(journal.of(key)).toEqual(['waits', 'CancelledFailure']);
    await handle.signal(`${key} go on`, 'on');
    expect(await engine().result(handle)).toBe('on');
  });

  it.each(['hook', 'execHook'] as const)(
    '%s into a workflow that is unknown, ended or shut is an error at the caller',
    async (call) => {
      const ended = await engine().start('double', [1]);
      await engine().result(ended);
      const shut = await engine().start('opensAndWaits', [uuid(), false], { signalIn: false });
      const reserved = await engine().start('double', [1], { pending: 60 });
      const cases = [
        [uuid(), 'GetStateError'],
        [ended.workflowId, 'InactiveJobError'],
        [shut.workflowId, 'HookRefusedError'],
        [reserved.workflowId, 'HookRefusedError'],
      ] as const;
      for (const [workflowId, name] of cases) {
        const options = { workflowId, taskQueue, workflowName: 'greet', args: ['nobody'] };
        const outcome = await engine().run<{ name: string; message: string }>('catches', [call, options]);
        expect(outcome).toMatchObject({ name });
        expect(outcome.message).toContain(workflowId);
        const error = await failureOf(hookIn(workflowId, 'greet', ['nobody']));
        expect(error).toMatchObject({ name, message: outcome.message, jobId: workflowId });
      }
      await shut.terminate();
    },
  );

  it.each([
    [{ args: [] }, /^Durable Hook Error: Potential infinite loop detected!.*taskQueue.*entity/],
    [{ args: [], workflowName: 'greet' }, /^Durable Hook Error: Potential infinite loop detected!/],
    [{ args: [], taskQueue }, /^Durable Hook Error: Potential infinite loop detected!/],
    [{ taskQueue, workflowName: 'greet' }, /args must be an array/],
    [{ taskQueue, workflowName: 'greet', args: 1 }, /args must be an array/],
    [{ taskQueue: '', workflowName: 'greet', args: [] }, /taskQueue must be/],
    [{ taskQueue, workflowName: 'a\0', args: [] }, /workflowName must be/],
    [{ entity: 7, args: [] }, /entity must be/],
    [{ taskQueue, workflowName: 'greet', args: [], workflowId: '' }, /workflowId must be/],
    [
      { taskQueue, workflowName: 'greet', args: [], workflowID: 'x' },
      /unknown option "workflowID"; did you mean "workflowId"\?/,
    ],
    [{ taskQueue, workflowName: 'greet', args: [], namespace: 'other' }, /namespace must be "durable"/],
    [{ taskQueue, workflowName: 'greet', args: [], search: { data: { a: 'x\0' } } }, /search/],
    [{ taskQueue, workflowName: 'greet', args: [], search: { data: { a: {} } } }, /search.data.a must be/],
    [{ taskQueue, workflowName: 'greet', args: [], config: { maximumAttempts: -1 } }, /config.maximumAttempts must be/],
  ])('asked for badly (%j) is refused at the call', async (options, message) => {
    for (const call of ['hook', 'execHook']) {
      const outcome = await engine().run<{ message: string }>('catches', [call, options]);
      expect(outcome.message).toMatch(message);
    }
  });
});

it('runs on another queue’s worker', async () => {
  const key = uuid();
  const engine = await Engine.withoutWorker(kept);
  await engine.addWorker({ workflow: { asksElsewhere: asksElsewhere }, activities });
  const handle = await engine.start('asksElsewhere', [key]);
  await until('the hook is open', async () => (await engine.sql('select from hook')).length === 1);
  await engine.addWorker({ workflow: { greet, tell }, activities, taskQueue: 'elsewhere' });
  expect(await engine.result(handle)).toBe('hello you');
  expect(journal.of(key)).toMatchObject([{ taskQueue: 'elsewhere', workflowTopic: 'elsewhere-tell' }]);
  await engine.close();
});

async function asksElsewhere(key: string) {
  const answer = await workflow.execHook({ entity: 'greet', taskQueue: 'elsewhere', args: ['you'] });
  await workflow.hook({ taskQueue: 'elsewhere', workflowName: 'tell', args: [key] });
  while (journal.count(key) === 0) await workflow.sleep(20);
  return answer;
}
