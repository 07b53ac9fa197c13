import { expect, it } from 'vitest';
import { Durable, Errors, uuid, workflow } from '../src/index.js';
import { describeInBothTempos, gate, Journal, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();
const gates = new Map<string, ReturnType<typeof gate<void>>>();
const { CancellationScope, isCancellation } = workflow;

const activities = {
  async refund(id: string) {
    journal.note(id);
    return `refunded ${id}`;
  },
  async held(id: string) {
    const { signal } = Durable.activity.getContext();
    journal.note(`${id} runs`);
    signal.addEventListener('abort', () => journal.note(`${id} aborted`, signal.reason));
    await gates.get(id)?.passed;
    journal.note(`${id} ends`);
  },
};
const { refund, held } = workflow.proxyActivities<typeof activities>({ retry: retryAtOnce });

async function sleeps() {
  await workflow.sleep('1 hour');
  return 'slept';
}

async function cleansUp(id: string) {
  try {
    await workflow.condition(`${id} never`);
    return 'went on';
  } catch (error) {
    if (!isCancellation(error)) throw error;
    return `cancelled: ${await refund(id)}`;
  }
}

async function shielded(id: string) {
  let seen = 'nothing';
  const value = await CancellationScope.nonCancellable(async () => {
    const inner = await CancellationScope.nonCancellable(() => workflow.condition(`${id} go`));
    return [inner, await refund(id)];
  });
  try {
    await workflow.sleep('1 hour');
  } catch (error) {
    seen = (error as Error).name;
  }
  return { value, seen };
}

async function beforeAnyCall(id: string) {
  // Cancelled while it awaits something that is not durable: the next durable call rejects.
  await gates.get(id)?.passed;
  try {
    await workflow.sleep(10);
    return 'slept';
  } catch (error) {
    return (error as Error).name;
  }
}

async function all(id: string) {
  const names = await Promise.all(
    [
      workflow.sleep('1 hour'),
      workflow.condition(`${id} never`),
      workflow.executeChild({ workflowName: 'child', workflowId: `${id} child`, args: [] }),
      held(id),
    ].map((call) => call.then(String, (error: Error) => error.name)),
  );
  return { names, later: await workflow.sleep(10) };
}

async function child() {
  try {
    await workflow.condition('never');
  } catch (error) {
    journal.note(workflow.workflowInfo().workflowId, (error as Error).name);
    throw error;
  }
}

async function unawaited() {
  void workflow.sleep('1 hour');
  void workflow.condition('never');
  return await workflow.sleep('2 hours').catch((error: Error) => error.name);
}

async function catchesAndIgnores() {
  const caught: string[] = [];
  for (let n = 0; n < 2; n++) {
    try {
      await workflow.condition('never', n === 0 ? '1 hour' : 20);
      caught.push('went on');
    } catch (error) {
      caught.push((error as Error).name);
    }
  }
  return caught;
}

async function failsAfterwards() {
  try {
    await workflow.sleep('1 hour');
  } catch {
    throw new Error('clean-up failed');
  }
}

async function backsOff() {
  if (workflow.workflowInfo().attempt === 1) throw new Error('once');
  await workflow.sleep('1 hour');
}

async function startsChildren(id: string) {
  await workflow.startChild({ workflowName: 'sleeps', workflowId: `${id} started`, args: [] });
  await workflow.sleep('1 hour');
}

const workflows = {
  sleeps,
  cleansUp,
  shielded,
  beforeAnyCall,
  all,
  child,
  unawaited,
  catchesAndIgnores,
  failsAfterwards,
  backsOff,
  startsChildren,
};

describeInBothTempos('a workflow that is asked to cancel', { workflow: workflows, activities }, (engine) => {
  it('is woken at once and ends as cancelled when it lets that pass', async () => {
    const handle = await engine().start('sleeps', [], { config: retryAtOnce });
    await engine().waits(handle);
    const asked = Date.now();
    await handle.cancel();
    const error = await engine().failure(handle);
    expect(Date.now() - asked).toBeLessThan(5_000);
    expect(error).toBeInstanceOf(Errors.CancelledFailure);
    expect(error).toMatchObject({ name: 'CancelledFailure', message: 'Workflow cancelled', code: 598 });
    expect(await handle.status()).toBe(0);
    expect(await handle.state()).toMatchObject({ done: true, $error: { code: 598 } });
  });

  it('may catch it, clean up and complete normally', async () => {
    const id = uuid();
    const handle = await engine().start('cleansUp', [id]);
    await engine().waits(handle);
    await handle.cancel();
    expect(await engine().result(handle)).toBe(`cancelled: refunded ${id}`);
    expect(journal.count(id)).toBe(1);
  });

  it('finishes what is not cancellable; the next call is reached instead', async () => {
    const id = uuid();
    const handle = await engine().start('shielded', [id]);
    await engine().awaitsSignal(handle, `${id} go`);
    await handle.cancel();
    await handle.signal(`${id} go`, 'gone');
    expect(await engine().result(handle)).toEqual({ value: ['gone', `refunded ${id}`], seen: 'CancelledFailure' });
  });

  it('learns it at its next durable call when it awaits nothing durable', async () => {
    const id = uuid();
    gates.set(id, gate<void>());
    const handle = await engine().start('beforeAnyCall', [id]);
    await until('it is recorded', async () => (await handle.state()).ju > (await handle.state()).jc);
    await handle.cancel();
    await until('the request was taken in', async () => {
      const mail = await engine().sql(
        'select from inbox i join execution e on e.run_no = i.thread_no where e.workflow_id = $1',
        [handle.workflowId],
      );
      return mail.length === 0;
    });
    gates.get(id)?.open();
    expect(await engine().result(handle)).toBe('CancelledFailure');
  });

  it('learns it once, in every call that is pending; awaited children and activities are told', async () => {
    const id = uuid();
    gates.set(id, gate<void>());
    const handle = await engine().start('all', [id]);
    await until('the activity runs', () => journal.count(`${id} runs`) === 1);
    const childHandle = await engine().client.workflow.getHandle('test', 'child', `${id} child`);
    await until('the child is there', () => childHandle.status().then(Boolean, () => false));
    await engine().awaitsSignal(childHandle, 'never');
    await handle.cancel();
    expect(await engine().result(handle)).toEqual({ names: Array(4).fill('CancelledFailure'), later: 0.01 });
    expect(await engine().failure(childHandle)).toMatchObject({ name: 'CancelledFailure', code: 598 });
    expect(journal.of(`${id} child`)).toEqual(['CancelledFailure']);
    await until('the activity was told', () => journal.count(`${id} aborted`) === 1);
    expect(journal.of(`${id} aborted`)[0]).toBeInstanceOf(Errors.CancelledFailure);
    gates.get(id)?.open();
  });

  it('does not take its process down by calls that nobody awaits', async () => {
    const handle = await engine().start('unawaited');
    await engine().waits(handle);
    await handle.cancel();
    expect(await engine().result(handle)).toBe('CancelledFailure');
  });

  it('goes on with timers and signals as before once it has caught it', async () => {
    const handle = await engine().start('catchesAndIgnores');
    await engine().waits(handle);
    await handle.cancel();
    await handle.cancel();
    expect(await engine().result(handle)).toEqual(['CancelledFailure', 'went on']);
  });

  it('fails as it failed when its clean-up fails', async () => {
    const handle = await engine().start('failsAfterwards', [], { config: { maximumAttempts: 0 } });
    await engine().waits(handle);
    await handle.cancel();
    expect(await engine().failure(handle)).toMatchObject({ message: 'clean-up failed', code: 597 });
  });

  it('between two attempts of its function is cancelled in the next', async () => {
    const handle = await engine().start('backsOff', [], { config: { initialInterval: 400 } });
    await until('it has failed', async () => {
      const [row] = await engine().sql<{ n: number }>(
        'select count(*)::int as n from history h join execution e on e.run_no = h.thread_no where e.workflow_id = $1',
        [handle.workflowId],
      );
      return row?.n === 1;
    });
    await handle.cancel();
    expect(await engine().failure(handle)).toMatchObject({ name: 'CancelledFailure' });
  });

  it('before its first line ran is cancelled at its first durable call', async () => {
    const handle = await engine().start('sleeps');
    await handle.cancel();
    expect(await engine().failure(handle)).toMatchObject({ name: 'CancelledFailure' });
  });

  it.each([
    ['cleansUp', (id: string) => `cancelled: refunded ${id}`],
    ['all', () => ({ names: Array(4).fill('CancelledFailure'), later: 0.01 })],
    ['catchesAndIgnores', () => ['CancelledFailure', 'went on']],
  ])('before its first line ran may catch it as ever (%s)', async (name, result) => {
    // Paused while they come, so that start and cancel are delivered together.
    const ids = Array.from({ length: 5 }, () => uuid());
    for (const id of ids) gates.set(id, gate<void>());
    const handles = await Promise.all(
      ids.map(async (id) => {
        const handle = await engine().start(name, [id]);
        await handle.cancel();
        return handle;
      }),
    );
    const results = await Promise.all(handles.map((handle) => engine().result(handle)));
    expect(results).toEqual(ids.map((id) => result(id)));
    for (const id of ids) gates.get(id)?.open();
    const timers = await engine().sql(
      'select m.* from timer m join execution e on e.run_no = m.thread_no where e.workflow_id = any($1)',
      [handles.map(({ workflowId }) => workflowId)],
    );
    expect(timers).toEqual([]);
  });

  it('leaves children alone that it only started', async () => {
    const id = uuid();
    const handle = await engine().start('startsChildren', [id]);
    const childHandle = await engine().client.workflow.getHandle('test', 'sleeps', `${id} started`);
    await until('the child is there', () => childHandle.status().then(Boolean, () => false));
    await engine().waits(handle);
    await handle.cancel();
    await engine().failure(handle);
    expect(await childHandle.status()).toBe(1);
    await childHandle.terminate();
  });

  it('after its end takes no notice', async () => {
    const handle = await engine().start('shielded', ['ended']);
    await engine().awaitsSignal(handle, 'ended go');
    await handle.terminate({ throw: false });
    await expect(handle.cancel()).resolves.toBeUndefined();
    expect(await handle.result()).toBeUndefined();
  });
});
