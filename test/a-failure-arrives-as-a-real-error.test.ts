import { expect, it } from 'vitest';
import { Durable, Errors, type RetryOptions, uuid, workflow } from '../src/index.js';
import { describeInBothTempos, Journal, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();

class OutOfStock extends Error {
  override readonly name = 'OutOfStock';
  constructor(readonly sku: string) {
    super(`out of stock: ${sku}`, { cause: new RangeError('0 left') });
  }
}

const thrown = {
  error: () => new Error('broken'),
  custom: () => new OutOfStock('s-1'),
  type: () => new TypeError('wrong type'),
  fatal: () => new Errors.DurableFatalError('broken'),
  maxed: () => new Errors.DurableMaxedError('broken'),
  timeout: () => new Errors.DurableTimeoutError('broken'),
  coded: () => Object.assign(new Error('broken'), { code: '23505', table: 'orders' }),
  numbered: () => Object.assign(new Error('broken'), { code: 598 }),
  aggregate: () => new AggregateError([new Error('one'), new TypeError('two')], 'both'),
  text: () => 'broken',
  nothing: () => undefined,
  cancelled: () => new Errors.CancelledFailure(),
};
type Thrown = keyof typeof thrown;

async function fails(what: Thrown, times = Infinity) {
  const { workflowId, attempt } = workflow.workflowInfo();
  journal.note(workflowId, attempt);
  if (attempt <= (times ?? Infinity)) throw thrown[what]();
  return attempt;
}

const activities = {
  async break(what: Thrown) {
    throw thrown[what]();
  },
};

async function failsByActivity(what: Thrown) {
  const { break: broken } = workflow.proxyActivities<typeof activities>({ retry: { maximumAttempts: 0 } });
  journal.note(workflow.workflowInfo().workflowId, workflow.workflowInfo().attempt);
  await broken(what);
}

/** Its own error must win over what is still pending. */
async function failsWhilePending() {
  void workflow.sleep('1 hour');
  void workflow.condition('never');
  await workflow.sleep(10);
  throw new Errors.DurableFatalError('mine');
}

async function parent(child: string, args: unknown[], config: RetryOptions = { maximumAttempts: 0 }) {
  journal.note(workflow.workflowInfo().workflowId, workflow.workflowInfo().attempt);
  return await workflow.executeChild({ workflowName: child, args, config });
}

async function catchingParent(child: string, args: unknown[], config: RetryOptions = { maximumAttempts: 0 }) {
  try {
    const value = await workflow.executeChild({ workflowName: child, args, config });
    return value instanceof Error ? { returned: seen(value) } : { value };
  } catch (error) {
    return { thrown: seen(error as Error), interrupted: Durable.didInterrupt(error) };
  }
}

function seen(error: Error) {
  const { name, message, cause } = error;
  const { code, sku, job_id } = error as Error & Record<string, unknown>;
  return {
    name,
    message,
    code,
    ...(sku !== undefined && { sku }),
    ...(job_id !== undefined && { job_id }),
    ...(cause instanceof Error && { cause: { name: cause.name, message: cause.message } }),
  };
}

async function waits() {
  return await workflow.condition('never');
}

async function parentOf(workflowId: string) {
  try {
    await workflow.executeChild({ workflowName: 'waits', workflowId, args: [] });
    return 'ended';
  } catch (error) {
    return seen(error as Error);
  }
}

const workflows = { fails, failsByActivity, failsWhilePending, parent, catchingParent, waits, parentOf };

/** A replay runs the function again, but as the same attempt. */
const attemptsOf = (workflowId: string) => [...new Set(journal.of(workflowId))];

describeInBothTempos('a failure', { workflow: workflows, activities }, (engine) => {
  const none = { config: { maximumAttempts: 0 } };

  it.each([
    ['error', { class: Errors.DurableMaxedError, name: 'Error', message: 'broken', code: 597 }],
    [
      'custom',
      { class: Errors.DurableMaxedError, name: 'OutOfStock', message: 'out of stock: s-1', code: 597, sku: 's-1' },
    ],
    ['type', { class: Errors.DurableMaxedError, name: 'TypeError', message: 'wrong type', code: 597 }],
    ['fatal', { class: Errors.DurableFatalError, name: 'DurableFatalError', message: 'broken', code: 598 }],
    ['maxed', { class: Errors.DurableMaxedError, name: 'DurableMaxedError', message: 'broken', code: 597 }],
    ['timeout', { class: Errors.DurableTimeoutError, name: 'DurableTimeoutError', message: 'broken', code: 596 }],
    [
      'cancelled',
      { class: Errors.CancelledFailure, name: 'CancelledFailure', message: 'Workflow cancelled', code: 598 },
    ],
    ['text', { class: Errors.DurableMaxedError, message: 'broken', code: 597 }],
    ['nothing', { class: Errors.DurableMaxedError, message: expect.stringContaining('undefined'), code: 597 }],
  ])('of a workflow by %s is a real error with its class, name, message, code and stack', async (what, expected) => {
    const handle = await engine().start('fails', [what], none);
    const error = await engine().failure(handle);
    const { class: errorClass, ...fields } = expected;
    expect(error).toBeInstanceOf(Error);
    expect(error).toBeInstanceOf(errorClass);
    expect(error).toMatchObject(fields);
    expect(error.stack).toEqual(expect.any(String));
    expect(await handle.status()).toBe(0);
    expect(await handle.result({ throwOnError: false })).toMatchObject(fields);
  });

  it('keeps the remote stack and the cause', async () => {
    const error = await engine().failure(await engine().start('fails', ['custom'], none));
    expect(error.stack).toContain('a-failure-arrives-as-a-real-error.test.ts');
    expect(error.cause).toBeInstanceOf(RangeError);
    expect((error.cause as Error).message).toBe('0 left');
  });

  it('keeps the members of an AggregateError', async () => {
    const error = await engine().failure(await engine().start('fails', ['aggregate'], none));
    expect((error.errors as Error[]).map(({ message }) => message)).toEqual(['one', 'two']);
  });

  it('with a code of its own is an ordinary one: retried, and the code stays readable', async () => {
    const handle = await engine().start('fails', ['coded'], { config: { ...retryAtOnce, maximumAttempts: 1 } });
    const error = await engine().failure(handle);
    expect(error).toMatchObject({ message: 'broken', code: 597, table: 'orders' });
    expect(error.cause).toMatchObject({ code: '23505' });
    expect(attemptsOf(handle.workflowId)).toEqual([1, 2]);
    const numbered = await engine().start('fails', ['numbered', 2], { config: retryAtOnce });
    expect(await engine().result(numbered)).toBe(3);
  });

  it.each(['fatal', 'maxed', 'timeout', 'cancelled'] as const)('by %s is final for a workflow', async (what) => {
    const handle = await engine().start('fails', [what], { config: retryAtOnce });
    await engine().failure(handle);
    expect(attemptsOf(handle.workflowId)).toEqual([1]);
  });

  it('of an activity that nobody catches ends the workflow at once', async () => {
    const handle = await engine().start('failsByActivity', ['custom'], { config: retryAtOnce });
    const error = await engine().failure(handle);
    expect(error).toBeInstanceOf(Errors.DurableFatalError);
    expect(error).toMatchObject({ message: 'out of stock: s-1', code: 598 });
    expect(error.cause).toMatchObject({ name: 'OutOfStock', sku: 's-1' });
    expect(attemptsOf(handle.workflowId)).toEqual([1]);
  });

  it('wins over operations that are still pending', async () => {
    await expect(engine().run('failsWhilePending')).rejects.toThrow('mine');
  });

  it('is in the state of the workflow', async () => {
    const handle = await engine().start('fails', ['custom'], none);
    await engine().failure(handle);
    const { data, metadata } = await handle.state(true);
    expect(data).toMatchObject({ done: true, $error: { name: 'OutOfStock', message: 'out of stock: s-1', code: 597 } });
    expect(data).not.toHaveProperty('response');
    expect(JSON.parse(metadata.err ?? '')).toMatchObject({ code: 597 });
    expect(metadata.js).toBe(0);
  });

  it.each([
    ['fails', 'error', { name: 'DurableMaxedError', message: 'broken', code: 597 }],
    ['fails', 'fatal', { name: 'DurableFatalError', message: 'broken', code: 598 }],
    ['fails', 'maxed', { name: 'DurableMaxedError', message: 'broken', code: 597 }],
    ['fails', 'timeout', { name: 'DurableTimeoutError', message: 'broken', code: 596 }],
    ['failsByActivity', 'custom', { name: 'DurableFatalError', message: 'out of stock: s-1', code: 598 }],
  ])('of a child (%s by %s) reaches its parent with class, message and code', async (child, what, expected) => {
    const { thrown, interrupted } = await engine().run<{ thrown: Record<string, unknown>; interrupted: boolean }>(
      'catchingParent',
      [child, [what]],
    );
    const { name, ...rest } = expected;
    expect(thrown).toMatchObject(rest);
    expect(interrupted).toBe(false);
    if (what !== 'error') expect(thrown.name).toBe(name);
  });

  it('of a child’s last retry is fatal to its parent: no retries times retries', async () => {
    const handle = await engine().start('parent', ['fails', ['error'], { ...retryAtOnce, maximumAttempts: 2 }], {
      config: retryAtOnce,
    });
    const error = await engine().failure(handle);
    expect(error).toMatchObject({ message: 'broken' });
    expect([597, 598]).toContain(error.code);
    expect(attemptsOf(handle.workflowId)).toEqual([1]);
  });

  it('of a child is a value with throwOnError false', async () => {
    const { returned } = await engine().run<{ returned: Record<string, unknown> }>('catchingParent', [
      'fails',
      ['fatal'],
      { throwOnError: false },
    ]);
    expect(returned).toMatchObject({ name: 'DurableFatalError', message: 'broken', code: 598 });
  });

  it('by termination reaches the parent with reason and code', async () => {
    const childId = uuid();
    const handle = await engine().start('parentOf', [childId]);
    const child = await engine().client.workflow.getHandle('test', 'waits', childId);
    await until('the child is there', () => child.status().then(Boolean, () => false));
    await child.terminate({ reason: 'enough', code: 444 });
    expect(await engine().result(handle)).toMatchObject({ message: 'enough', code: 444, job_id: childId });
  });

  it('by termination without an error ends the parent’s wait, too', async () => {
    const childId = uuid();
    const handle = await engine().start('parentOf', [childId]);
    const child = await engine().client.workflow.getHandle('test', 'waits', childId);
    await until('the child is there', () => child.status().then(Boolean, () => false));
    await child.terminate({ throw: false });
    expect(await engine().result(handle)).toMatchObject({ message: expect.any(String) });
  });

  it('of a child that was cancelled is fatal to its parent, who was not', async () => {
    const childId = uuid();
    const handle = await engine().start('parentOf', [childId]);
    const child = await engine().client.workflow.getHandle('test', 'waits', childId);
    await until('the child is there', () => child.status().then(Boolean, () => false));
    await engine().awaitsSignal(child, 'never');
    await child.cancel();
    expect(await engine().result(handle)).toMatchObject({
      name: 'DurableFatalError',
      code: 598,
      cause: { name: 'CancelledFailure' },
    });
  });
});
