import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { Client, Errors, type StartOptions, uuid, type WorkflowHandle, workflow } from '../src/index.js';
import { startProxy } from './support/proxy.js';
import { describeInBothTempos, Engine, Journal, kept, until } from './support/worker.js';

const journal = new Journal();

/** Collects what it is sent until it is told to stop. */
async function collects(id: string) {
  const seen: unknown[] = [];
  for (;;) {
    const value = await workflow.condition(`${id} add`);
    if (value === 'stop') return seen;
    seen.push(value);
  }
}

async function draws() {
  return [await workflow.uuid4(), await workflow.random()];
}

async function fails() {
  throw new Errors.DurableFatalError('for good');
}

async function waits(id: string) {
  try {
    return await workflow.condition(`${id} go`);
  } catch (error) {
    journal.note(id, error instanceof Errors.CancelledFailure);
    throw error;
  }
}

async function continues(id: string): Promise<unknown> {
  journal.note(id);
  await workflow.condition(`${id} next`, '100 milliseconds');
  return await workflow.continueAsNew(id);
}

async function asksFor(workflowId: string, options: object) {
  try {
    return await workflow.executeChild({ workflowName: 'waits', workflowId, args: [workflowId], ...options });
  } catch (error) {
    if (error instanceof Errors.DuplicateJobError) return `${error.jobId} is taken`;
    throw error;
  }
}

async function begets(id: string, last: 'return' | 'throw' | 'wait') {
  for (const parentClosePolicy of ['TERMINATE', 'REQUEST_CANCEL', 'ABANDON'] as const) {
    const workflowId = `${id} ${parentClosePolicy}`;
    await workflow.startChild({ workflowName: 'waits', workflowId, args: [workflowId], parentClosePolicy });
  }
  if (last === 'wait') await workflow.condition(`${id} never`);
  if (last === 'throw') throw new Errors.DurableFatalError('with children');
}

const workflows = { collects, draws, fails, waits, continues, asksFor, begets };

describeInBothTempos('an id', { workflow: workflows }, (engine) => {
  const start = (name: string, id: string, options: Partial<StartOptions> = {}) =>
    engine().start(name, [id], { workflowId: id, ...options });

  it('is refused when it is taken, unless a policy says otherwise', async () => {
    const id = uuid();
    await engine().result(await start('draws', id));
    await expect(start('draws', id)).rejects.toThrow(Errors.DuplicateJobError);
    await expect(start('draws', id, { workflowIdConflictPolicy: 'USE_EXISTING' })).rejects.toThrow(
      Errors.DuplicateJobError,
    );
    await expect(start('draws', id, { workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY' })).rejects.toThrow(
      Errors.DuplicateJobError,
    );
  });

  it('is used again for a workflow of its own: handles keep to theirs, random numbers never repeat', async () => {
    const id = uuid();
    const first = await start('draws', id);
    const drawn = await engine().result(first);
    const second = await start('draws', id, { workflowIdReusePolicy: 'ALLOW_DUPLICATE' });
    const drawnAgain = await engine().result<unknown[]>(second);
    expect(drawnAgain[0]).not.toBe((drawn as unknown[])[0]);
    expect(drawnAgain[1]).not.toBe((drawn as unknown[])[1]);
    expect(await first.result()).toEqual(drawn);
    const third = await start('waits', id, { workflowIdReusePolicy: 'ALLOW_DUPLICATE' });
    await expect(first.signal(`${id} go`)).rejects.toThrow(Errors.InactiveJobError);
    await expect(first.terminate()).rejects.toThrow(Errors.InactiveJobError);
    await first.cancel();
    await third.signal(`${id} go`, 'third');
    expect(await engine().result(third)).toBe('third');
    const any = await engine().client.workflow.getHandle(engine().taskQueue, 'draws', id);
    expect(await any.result()).toBe('third');
  });

  it('of a failed workflow may be used again, and only of such a one', async () => {
    const id = uuid();
    await engine().failure(await start('fails', id));
    const retried = await start('draws', id, { workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY' });
    expect(await engine().result(retried)).toHaveLength(2);
  });

  it('whose workflow runs leads to that one, or makes room for a new one', async () => {
    const id = uuid();
    const first = await start('waits', id);
    await engine().waits(first);
    const same = await start('waits', id, { workflowIdConflictPolicy: 'USE_EXISTING' });
    const other = await start('collects', id, { workflowIdConflictPolicy: 'TERMINATE_EXISTING' });
    expect(await engine().failure(first)).toMatchObject({ code: 410, job_id: id });
    expect(await engine().failure(same)).toBeInstanceOf(Errors.TerminatedError);
    await other.signal(`${id} add`, 'stop');
    expect(await engine().result(other)).toEqual([]);
    expect(journal.count(id)).toBe(0);
  });

  it('asked for by many at once is started once, or as often as it is replaced', async () => {
    const id = uuid();
    const handles = await Promise.all(
      Array.from({ length: 50 }, () => start('waits', id, { workflowIdConflictPolicy: 'USE_EXISTING' })),
    );
    await handles[7]?.signal(`${id} go`, 'one');
    expect(new Set(await Promise.all(handles.map((handle) => engine().result(handle))))).toEqual(new Set(['one']));
    const replaced = uuid();
    const terms = { workflowIdConflictPolicy: 'TERMINATE_EXISTING' } as const;
    const all = await Promise.all(Array.from({ length: 20 }, () => start('waits', replaced, terms)));
    const ended = Promise.allSettled(all.map((handle) => handle.result()));
    const any = await engine().client.workflow.getHandle(engine().taskQueue, 'waits', replaced);
    await any.signal(`${replaced} go`, 'last');
    const outcomes = await ended;
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toEqual([{ status: 'fulfilled', value: 'last' }]);
  });

  it('is reserved until somebody starts it, and free when nobody does', async () => {
    const id = uuid();
    const reserved = await start('collects', id, { pending: 60, search: { data: { shelf: 'a' } } });
    expect(await reserved.status()).toBe(-1);
    expect(await reserved.queryState(['shelf'])).toEqual({ shelf: 'a' });
    await reserved.signal(`${id} add`, 1);
    const started = await start('collects', id);
    await started.signal(`${id} add`, 'stop');
    expect(await engine().result(started)).toEqual([1]);
    expect(await reserved.result()).toEqual([1]);
    const lapsing = uuid();
    const forgotten = await start('collects', lapsing, { pending: 0.2 });
    await until('the reservation is forgotten', async () => {
      return await forgotten.status().then(
        () => false,
        (error: unknown) => error instanceof Errors.GetStateError,
      );
    });
    await expect(forgotten.result()).rejects.toThrow(Errors.GetStateError);
  });

  it('gets a signal with its start: the first begins it, each one arrives, in order', async () => {
    const id = uuid();
    const send = (data: unknown) =>
      engine().client.workflow.signalWithStart({
        ...{ workflowId: id, taskQueue: engine().taskQueue, workflowName: 'collects', args: [id] },
        ...{ signalId: `${id} add`, data },
      });
    const first = await send(0);
    for (const n of [1, 2, 3]) await send(n);
    await engine().awaitsSignal(first, `${id} add`);
    const last = await send('stop');
    expect(await engine().result(first)).toEqual([0, 1, 2, 3]);
    expect(await last.result()).toEqual([0, 1, 2, 3]);
    const next = await send('stop');
    expect(await engine().result(next)).toEqual([]);
    const many = uuid();
    await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        engine().client.workflow.signalWithStart({
          ...{ workflowId: many, taskQueue: engine().taskQueue, workflowName: 'collects', args: [many] },
          ...{ signalId: `${many} add`, data: n },
        }),
      ),
    );
    const handle = await engine().client.workflow.getHandle(engine().taskQueue, 'collects', many);
    await handle.signal(`${many} add`, 'stop');
    expect(new Set(await engine().result<unknown[]>(handle)).size).toBe(40);
  });

  it('of a child follows the same policies', async () => {
    const id = uuid();
    const old = await start('waits', id);
    const refused = await engine().start('asksFor', [id, {}]);
    expect(await engine().result(refused)).toBe(`${id} is taken`);
    const asking = await engine().start('asksFor', [id, { workflowIdConflictPolicy: 'TERMINATE_EXISTING' }]);
    expect(await engine().failure(old)).toBeInstanceOf(Errors.TerminatedError);
    const child = await engine().client.workflow.getHandle(engine().taskQueue, 'waits', id);
    await child.signal(`${id} go`, 'to the child');
    expect(await engine().result(asking)).toBe('to the child');
  });
});

describeInBothTempos('a start that is put off', { workflow: workflows }, (engine) => {
  it('runs when its delay is over, by the clock of the database', async () => {
    const handle = await engine().start('draws', [], { startDelay: 300 });
    await engine().result(handle);
    const [row] = await engine().sql<{ early: boolean }>(
      `select h.at < e.created_at + interval '300 ms' as early from history h join execution e on e.run_no = h.thread_no
       where e.workflow_id = $1 and h.seq = 0`,
      [handle.workflowId],
    );
    expect(row).toEqual({ early: false });
  });

  it('hears of a cancel request at once', async () => {
    const id = uuid();
    const handle = await engine().start('waits', [id], { startDelay: '1 hour' });
    await handle.cancel();
    expect(await engine().failure(handle)).toBeInstanceOf(Errors.CancelledFailure);
    expect(journal.of(id)).toEqual([true]);
  });
});

describeInBothTempos('a workflow that takes longer than it may', { workflow: workflows }, (engine) => {
  /** As if its hour were over. False while it is just between two runs. */
  const isDue = async (handle: WorkflowHandle) =>
    (
      await engine().sql(
        `update execution set chain_due_at = clock(), due_at = clock() where workflow_id = $1 and state = 'open' returning 1`,
        [handle.workflowId],
      )
    ).length > 0;

  it('fails with a timeout, on time and never early', async () => {
    const handle = await engine().start('waits', [uuid()], { workflowRunTimeout: '300ms' });
    const error = await engine().failure(handle);
    expect(error).toBeInstanceOf(Errors.DurableTimeoutError);
    expect(error).toMatchObject({ code: 596, timeoutType: 'WORKFLOW_RUN', job_id: handle.workflowId });
    expect(error.message).toBe(`Job ${handle.workflowId} exceeded its workflowRunTimeout of 0.3s`);
    expect(await handle.status()).toBe(0);
    const [row] = await engine().sql<{ ms: number }>(
      `select extract(epoch from closed_at - created_at)::float8 * 1000 as ms from execution where workflow_id = $1`,
      [handle.workflowId],
    );
    expect(row?.ms).toBeGreaterThanOrEqual(300);
  });

  it('fails in whichever run of its chain it is then', async () => {
    const id = uuid();
    const handle = await engine().start('continues', [id], {
      workflowExecutionTimeout: '1h',
      workflowRunTimeout: '2h',
    });
    await until('a further run', () => journal.count(id) > 1);
    await until('its time is over', () => isDue(handle));
    expect(await engine().failure(handle)).toMatchObject({ timeoutType: 'WORKFLOW_EXECUTION' });
  });

  it('reaches its parent as the failure of a child', async () => {
    const asking = await engine().start('asksFor', [uuid(), { workflowRunTimeout: 200 }]);
    expect(await engine().failure(asking)).toMatchObject({ type: 'DurableTimeoutError', code: 596 });
  });
});

describeInBothTempos('children whose parent has ended', { workflow: workflows }, (engine) => {
  const childOf = (id: string, policy: string) =>
    engine().client.workflow.getHandle(engine().taskQueue, 'waits', `${id} ${policy}`);

  it.each(['return', 'throw', 'terminate', 'time out'] as const)('by a %s end, cancel, or go on', async (how) => {
    const id = uuid();
    const last = how === 'return' || how === 'throw' ? how : 'wait';
    const parent = await engine().start('begets', [id, last], { workflowRunTimeout: '1h' });
    if (how === 'time out') {
      await engine().awaitsSignal(parent, `${id} never`); // all three have begun
      await engine().sql('update execution set due_at = clock() where workflow_id = $1', [parent.workflowId]);
    }
    if (how === 'terminate') {
      await engine().awaitsSignal(parent, `${id} never`); // all three have begun
      await parent.terminate();
    }
    await parent.result({ throwOnError: false });
    const terminated = await engine().failure(await childOf(id, 'TERMINATE'));
    expect(terminated).toBeInstanceOf(Errors.TerminatedError);
    expect(terminated.message).toBe(`job [${id} TERMINATE] interrupted: its parent has ended`);
    expect(await engine().failure(await childOf(id, 'REQUEST_CANCEL'))).toBeInstanceOf(Errors.CancelledFailure);
    const abandoned = await childOf(id, 'ABANDON');
    await abandoned.signal(`${id} ABANDON go`, 'still here');
    expect(await engine().result(abandoned)).toBe('still here');
  });
});

describe('policies that make no sense', () => {
  it('are refused before anything is sent, with the nearest that does', async () => {
    const engine = await Engine.withoutWorker(kept);
    const start = (options: object) => engine.start('draws', [], options as Partial<StartOptions>);
    const signalWithStart = (options: object) =>
      engine.client.workflow.signalWithStart({
        ...{ taskQueue: 'q', workflowName: 'w', args: [], workflowId: 'a', signalId: 's' },
        ...options,
      } as Parameters<typeof engine.client.workflow.signalWithStart>[0]);
    const refused: [Promise<unknown>, string][] = [
      [start({ workflowIdReusePolicy: 'ALOW_DUPLICATE' }), "Did you mean 'ALLOW_DUPLICATE'?"],
      [start({ workflowIdReusePolicy: 'TERMINATE_IF_RUNNING' }), "workflowIdConflictPolicy: 'TERMINATE_EXISTING'"],
      [start({ workflowIdConflictPolicy: 'use_existing' }), "Did you mean 'USE_EXISTING'?"],
      [start({ workflowIdConflictPolicy: 3 }), "'FAIL', 'USE_EXISTING' or 'TERMINATE_EXISTING'; got 3"],
      [
        start({ workflowIdConflictPolicy: 'TERMINATE_EXISTING', workflowIdReusePolicy: 'REJECT_DUPLICATE' }),
        "workflowIdReusePolicy must be 'ALLOW_DUPLICATE' or 'ALLOW_DUPLICATE_FAILED_ONLY'",
      ],
      [start({ startDelay: 'soon' }), 'startDelay must be a duration'],
      [start({ workflowRunTimeout: 0 }), 'workflowRunTimeout must be a duration longer than 0'],
      [start({ workflowExecutionTimout: 5 }), 'did you mean "workflowExecutionTimeout"?'],
      [
        start({ pending: 9, startDelay: '1 hour' }),
        'startDelay must be left out with pending; got "1 hour". A reservation',
      ],
      [start({ pending: 9, workflowRunTimeout: 5 }), 'workflowRunTimeout must be left out with pending; got 5'],
      [start({ parentClosePolicy: 'ABANDON' }), 'unknown option "parentClosePolicy"'],
      [signalWithStart({ signalId: undefined }), 'signalWithStart: signalId must be'],
      [signalWithStart({ workflowId: '' }), 'signalWithStart: workflowId must be'],
      [signalWithStart({ workflowIdConflictPolicy: 'FAIL' }), "'USE_EXISTING' or 'TERMINATE_EXISTING'; got \"FAIL\""],
      [signalWithStart({ pending: 3 }), 'unknown option "pending"'],
    ];
    for (const [call, message] of refused) {
      await expect(call).rejects.toThrow(message);
      await expect(call).rejects.toBeInstanceOf(Errors.InvalidArgumentError);
    }
    expect(await engine.sql('select from execution')).toEqual([]);
    await engine.close();
  });
});

describe('a start on terms whose connection breaks', () => {
  it.each(['before-forward', 'after-forward', 'at-answer'] as const)('%s has its effect once', async (moment) => {
    const engine = await Engine.open({ workflow: workflows, tempo: kept });
    const proxy = await startProxy(engine.database.url);
    const connectionString = proxy.url(engine.database.url);
    const client = new Client({ connection: { class: pg.Client, options: { connectionString } } });
    const basket = { workflowId: 'basket', taskQueue: engine.taskQueue, workflowName: 'collects', args: ['basket'] };
    const adds = { ...basket, signalId: 'basket add' };
    const isStart = (request: Buffer) => /durable"?[._]start\b/.test(request.toString('latin1'));
    await client.workflow.signalWithStart({ ...adds, data: 1 });
    const cuts = [proxy.cutNextQuery(moment, isStart)];
    await client.workflow.signalWithStart({ ...adds, data: 2 });
    const first = await client.workflow.signalWithStart({ ...adds, data: 'stop' });
    expect(await engine.result(first)).toEqual([1, 2]);
    await client.workflow.start({ ...basket, workflowIdReusePolicy: 'ALLOW_DUPLICATE' });
    cuts.push(proxy.cutNextQuery(moment, isStart));
    const last = await client.workflow.start({ ...basket, workflowIdConflictPolicy: 'TERMINATE_EXISTING' });
    await Promise.all(cuts);
    const runs = await engine.sql('select run, state, cause from execution order by run');
    expect(runs).toEqual([
      { run: 0, state: 'completed', cause: 'start' },
      { run: 1, state: 'terminated', cause: 'reused' },
      { run: 2, state: 'open', cause: 'reused' },
    ]);
    await last.signal('basket add', 'stop');
    expect(await engine.result(last)).toEqual([]);
    await client.close();
    await engine.close();
  });
});
