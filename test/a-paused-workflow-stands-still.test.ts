import pg from 'pg';
import { expect, it } from 'vitest';
import { Durable, Errors, uuid, Worker, workflow } from '../src/index.js';
import { describeInBothTempos, Engine, Journal, kept, pause, until } from './support/worker.js';

const journal = new Journal();
const gates = new Map<string, () => void>();

const activities = {
  async step(id: string, n: number) {
    journal.note(id, n);
    return n;
  },
  /** Ends when the test opens its gate. */
  async gated(id: string, n: number) {
    journal.note(id, `begun ${n}`);
    await new Promise<void>((resolve) => gates.set(id, resolve));
    return n;
  },
};
const { step, gated } = workflow.proxyActivities<typeof activities>();

async function steps(id: string) {
  for (let n = 0; ; n++) {
    if (await workflow.condition(`${id} stop`, '5 ms')) return n;
    await step(id, n);
  }
}

async function running(id: string) {
  return [await gated(id, 1), await step(id, 2)];
}

async function inline(id: string) {
  const first = await workflow.run('gated', () => activities.gated(id, 1));
  return [first, await workflow.run('step', () => activities.step(id, 2))];
}

async function elsewhere(id: string) {
  const remote = workflow.proxyActivities<typeof activities>({ taskQueue: `${id} queue` });
  return await remote.step(id, 1);
}

async function waits(id: string) {
  try {
    return await workflow.condition(`${id} go`);
  } catch (error) {
    journal.note(id, Durable.didInterrupt(error) ? 'interrupted' : 'cancelled');
    throw error;
  }
}

async function sleeps(id: string) {
  await workflow.sleep('500 ms');
  journal.note(id, 'awake');
}

async function parent(id: string) {
  return await workflow.executeChild({ workflowName: 'waits', workflowId: `${id} child`, args: [id] });
}

async function withHook(id: string) {
  await workflow.hook({ taskQueue: 'test', workflowName: 'note', args: [id, 'from inside'] });
  await workflow.condition(`${id} go`);
  return 'done';
}

async function note(id: string, what: string) {
  journal.note(id, what);
}

/** Waits for its signal in each run, and goes on as the next. */
async function chain(id: string, n: number): Promise<number> {
  await gated(id, n);
  if (n === 1) await workflow.continueAsNew(id, 2);
  return n;
}

const workflows = { steps, running, inline, elsewhere, waits, sleeps, parent, withHook, note, chain };

/** Until no worker has anything of it any more. */
async function stands(engine: Engine, workflowId: string): Promise<void> {
  await until(`${workflowId} stands`, async () => {
    const rows = await engine.sql<{ state: string }>(
      `select t.state from thread t join execution e using (run_no) where e.workflow_id = $1 and t.state <> 'done'`,
      [workflowId],
    );
    return rows.length > 0 && rows.every(({ state }) => state === 'paused');
  });
}

describeInBothTempos('a workflow that is paused', { workflow: workflows, activities }, (engine) => {
  it('does nothing more until it is resumed, and goes on where it was', async () => {
    const id = uuid();
    const handle = await engine().start('steps', [id], { workflowId: id });
    await until('three steps', () => journal.of(id).length >= 3);
    await handle.pause({ reason: 'a look' });
    await stands(engine(), id);
    const before = journal.of(id).length;
    // Whatever runs beside it would have made steps of its own meanwhile.
    const other = await engine().start('steps', [`${id} other`]);
    await until('others go on', () => journal.of(`${id} other`).length >= 20);
    await other.signal(`${id} other stop`, true);
    expect(journal.of(id)).toHaveLength(before);
    await handle.resume();
    await until('it goes on', () => journal.of(id).length >= before + 3);
    await handle.signal(`${id} stop`, true);
    const steps = await engine().result<number>(handle);
    expect(journal.of(id)).toEqual(Array.from({ length: steps }, (_, n) => n));
  });

  it.each(['running', 'inline'])('keeps the result of an activity that was under way (%s)', async (name) => {
    const id = uuid();
    const handle = await engine().start(name, [id], { workflowId: id });
    await until('it runs', () => gates.has(id));
    await handle.pause();
    await stands(engine(), id);
    gates.get(id)?.();
    await until('its result is kept', async () => {
      const kept = await engine().sql(
        `select from inbox i join execution e on e.run_no = i.thread_no where e.workflow_id = $1 and i.kind = 'done'`,
        [id],
      );
      return kept.length === 1;
    });
    expect(journal.of(id)).toEqual(['begun 1']);
    await handle.resume();
    expect(await engine().result(handle)).toEqual([1, 2]);
    expect(journal.of(id)).toEqual(['begun 1', 2]);
  });

  it('begins no activity', async () => {
    const id = uuid();
    const handle = await engine().start('elsewhere', [id], { workflowId: id });
    await until('its task is there', async () => {
      const tasks = await engine().sql(
        `select from activity_task a join execution e on e.run_no = a.thread_no where e.workflow_id = $1`,
        [id],
      );
      return tasks.length === 1;
    });
    await handle.pause();
    await stands(engine(), id);
    await engine().addActivityWorker(`${id} queue`, activities);
    await until('its task was laid aside', async () => {
      const tasks = await engine().sql(
        `select from activity_task a join execution e on e.run_no = a.thread_no
         where e.workflow_id = $1 and a.ready_at is null and a.owner is null`,
        [id],
      );
      return tasks.length === 1;
    });
    await engine().expectNoViolations();
    expect(journal.of(id)).toEqual([]);
    await handle.resume();
    expect(await engine().result(handle)).toBe(1);
  });

  it('takes signals, timers, ends of children and a cancel request when it is resumed', async () => {
    const ids = { signal: uuid(), timer: uuid(), child: uuid(), cancel: uuid() };
    const signalled = await engine().start('waits', [ids.signal], { workflowId: ids.signal });
    const sleeping = await engine().start('sleeps', [ids.timer], { workflowId: ids.timer });
    const parent = await engine().start('parent', [ids.child], { workflowId: ids.child });
    const cancelled = await engine().start('waits', [ids.cancel], { workflowId: ids.cancel });
    await engine().awaitsSignal(signalled, `${ids.signal} go`);
    await engine().awaitsSignal(cancelled, `${ids.cancel} go`);
    const child = await engine().client.workflow.getHandle('test', 'waits', `${ids.child} child`);
    await engine().awaitsSignal(child, `${ids.child} go`);
    const handles = [signalled, sleeping, parent, cancelled];
    await Promise.all(handles.map((handle) => handle.pause()));
    await Promise.all(Object.values(ids).map((id) => stands(engine(), id)));

    expect(await signalled.signal(`${ids.signal} go`, 'signal')).toBe('delivered');
    await child.signal(`${ids.child} go`, 'child');
    expect(await engine().result(child)).toBe('child'); // children are not paused
    await cancelled.cancel();
    await until('the timer is due', async () => {
      const due = await engine().sql(
        'select from timer m join execution e on e.run_no = m.thread_no where e.workflow_id = $1 and m.due_at < clock()',
        [ids.timer],
      );
      return due.length === 1;
    });
    await engine().expectNoViolations();
    expect(Object.values(ids).flatMap((id) => journal.of(id))).toEqual([]);

    await Promise.all(handles.map((handle) => handle.resume()));
    expect(await engine().result(signalled)).toBe('signal');
    expect(await engine().result(parent)).toBe('child');
    await engine().result(sleeping);
    expect(journal.of(ids.timer)).toEqual(['awake']);
    expect(await engine().failure(cancelled)).toBeInstanceOf(Errors.CancelledFailure);
  });

  it('opens hooks that are paused too', async () => {
    const id = uuid();
    const handle = await engine().start('withHook', [id], { workflowId: id });
    await until('the first hook', () => journal.of(id).length === 1);
    await handle.pause();
    await stands(engine(), id);
    await engine().client.workflow.hook({
      taskQueue: 'test',
      workflowName: 'note',
      workflowId: id,
      args: [id, 'second'],
    });
    await stands(engine(), id);
    await engine().expectNoViolations();
    expect(journal.of(id)).toEqual(['from inside']);
    await handle.resume();
    await until('the second hook', () => journal.of(id).length === 2);
    await handle.signal(`${id} go`, true);
    expect(await engine().result(handle)).toBe('done');
  });

  it('is paused as its next run when it goes on as new', async () => {
    const id = uuid();
    const handle = await engine().start('chain', [id, 1], { workflowId: id });
    await until('the first run', () => gates.has(id));
    gates.get(id)?.();
    gates.delete(id);
    await handle.pause();
    await stands(engine(), id);
    await handle.resume();
    await until('the second run', () => gates.has(id));
    gates.get(id)?.();
    expect(await engine().result(handle)).toBe(2);
  });

  it('can be terminated', async () => {
    const handle = await engine().start('waits', [uuid()]);
    await engine().waits(handle);
    await handle.pause();
    await handle.terminate({ reason: 'enough' });
    expect(await engine().failure(handle)).toMatchObject({ message: 'enough' });
  });

  it('may be paused and resumed again, and with its children', async () => {
    const id = uuid();
    const handle = await engine().start('parent', [id], { workflowId: id });
    const child = await engine().client.workflow.getHandle('test', 'waits', `${id} child`);
    await engine().awaitsSignal(child, `${id} go`);
    await handle.resume(); // nothing was paused
    await handle.pause({ descend: true, reason: 'first' });
    await handle.pause({ reason: 'second' });
    await stands(engine(), `${id} child`);
    expect(
      await engine().sql('select pause_reason from execution where workflow_id = any($1)', [[id, `${id} child`]]),
    ).toEqual([{ pause_reason: 'first' }, { pause_reason: 'first' }]);
    await child.signal(`${id} go`, 'at last');
    await handle.resume({ descend: true });
    expect(await engine().result(handle)).toBe('at last');
    await expect(handle.pause()).rejects.toThrow(Errors.InactiveJobError);
    await expect(handle.resume()).rejects.toThrow(Errors.InactiveJobError);
  });

  it('must exist, and be started', async () => {
    const unknown = await engine().client.workflow.getHandle('test', 'waits', uuid());
    await expect(unknown.pause()).rejects.toThrow(Errors.GetStateError);
    await expect(unknown.resume()).rejects.toThrow(Errors.GetStateError);
    const reserved = await engine().start('waits', [uuid()], { pending: 60 });
    await expect(reserved.pause()).rejects.toMatchObject({ name: 'OperationRefusedError', reason: 'pending' });
    // @ts-expect-error an option it does not have
    await expect(reserved.pause({ reasom: 'x' })).rejects.toThrow(/reason/);
  });
});

it('keeps the outcome of an activity that ends while it is being given up', async () => {
  const engine = await Engine.withoutWorker(kept);
  const id = uuid();
  let rows = 0;
  /** The activity ends when its row is made, and before its worker hears of it. */
  class Slow extends pg.Client {
    // biome-ignore lint/suspicious/noExplicitAny: it passes on whatever the driver takes
    override async query(...args: any[]): Promise<any> {
      const answer = await (super.query as (...given: unknown[]) => Promise<unknown>)(...args);
      const text = typeof args[0] === 'string' ? args[0] : args[0].text;
      if (/\bqueue_tasks\(/.test(text)) {
        rows++;
        gates.get(id)?.();
        await until('it has ended', () => journal.count(`${id} ended`) > 0);
        await pause(20);
      }
      return answer;
    }
  }
  const worker = await Worker.create({
    connection: { class: Slow, options: engine.connection.options },
    taskQueue: 'test',
    workflow: { ending },
    activities: {
      async ends(given: string) {
        journal.note(given, 'begun');
        await new Promise<void>((resolve) => gates.set(given, resolve));
        journal.note(`${given} ended`);
      },
    },
    options: { logLevel: 'silent', parkAfter: '1 minute', shutdownGrace: 100 },
  });
  const handle = await engine.start('ending', [id]);
  await until('it has begun', () => gates.has(id));
  await handle.pause();
  await until('it was given up', async () => {
    const [thread] = await engine.sql<{ state: string }>('select state from thread');
    return thread?.state === 'paused';
  });
  await handle.resume();
  await engine.result(handle);
  expect(journal.of(id)).toEqual(['begun']);
  expect(rows).toBe(1);
  await worker.stop();
  await engine.close();
});

async function ending(id: string) {
  await workflow.proxyActivities<{ ends(id: string): Promise<void> }>().ends(id);
  await workflow.sleep('1 ms');
}
