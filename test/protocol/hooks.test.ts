/** Further threads of a run: how they are opened, what ends them, who hears of it. */

import { expect, it } from 'vitest';
import {
  cancel,
  claim,
  claimOnly,
  commitAll,
  commitOne,
  complete,
  entry,
  hookAll,
  hookItem,
  hookOf,
  keepHouse,
  mailOf,
  onEveryDatabase,
  openHook,
  park,
  register,
  running,
  signal,
  signalAll,
  signalItem,
  start,
  startAll,
  startItem,
  step,
  type Thread,
  takeTasks,
  task,
  terminate,
  terms,
  timer,
  type Worker,
  wait,
} from '../support/protocol.js';
import { queryOf } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

const openings = ['a client', 'its main thread', 'another workflow'] as const;

onEveryDatabase('a hook', (session) => {
  const worker = (): Promise<Worker> => register(session());

  /** Opens one in workflow `a`, which runs, and claims it. */
  async function hooked(main: Thread, given: Record<string, unknown> = {}): Promise<Thread> {
    await step(session(), main, { opens: 1, effects: openHook(main.nextOp, null, given) });
    return await claimOnly(session(), main.worker, main.workflow_id);
  }

  async function openedBy(whom: (typeof openings)[number], main: Thread): Promise<unknown> {
    if (whom === 'a client') return await hookAll(session(), [hookItem('a', { args: '[1]', config: '{"c":2}' })]);
    const effects = openHook(0, whom === 'its main thread' ? null : 'a', { args: '[1]', config: '{"c":2}' });
    const opener = whom === 'its main thread' ? main : await running(session(), main.worker, 'b');
    return await step(session(), opener, { opens: 1, effects });
  }

  it.each(openings)('opened by %s is a thread of its own, with arguments and config of its own', async (whom) => {
    const main = await running(session(), await worker(), 'a', { args: '["main"]', config: '{"c":1}' });
    const answer = await openedBy(whom, main);
    const hook = await claimOnly(session(), main.worker, 'a');
    expect(answer).toEqual(whom === 'a client' ? ['hooked'] : [[0, 'hooked', String(hook.thread_no)]]);
    expect(hook).toMatchObject({ run_no: main.run_no, hook_no: 0, args: '[1]', config: '{"c":2}', last_seq: null });
    expect(hook.thread_no).not.toBe(main.thread_no);
    await step(session(), hook, { opens: 1, effects: [timer(0, 60_000)] });
    expect(await stateOf(session())).toMatchObject({
      hooks: [{ thread: 'a/0#2', state: 'open', opener: null, no: 0 }],
      timers: [{ thread: 'a/0#2', op: 0 }],
    });
  });

  it('has the config of its workflow, unless it has its own', async () => {
    const main = await running(session(), await worker(), 'a', { config: '{"c":1}' });
    expect(await hooked(main)).toMatchObject({ config: '{"c":1}' });
  });

  it('counts within its run, in the order of the calls', async () => {
    const main = await running(session(), await worker(), 'a');
    await hookAll(
      session(),
      ['x', 'y'].map((args) => hookItem('a', { args: `["${args}"]` })),
    );
    const effects = ['z', 'u'].flatMap((args, op) => openHook(op, null, { args: `["${args}"]` }));
    await step(session(), main, { opens: 2, effects });
    const hooks = await claim(session(), main.worker);
    expect(hooks.map(({ hook_no, args }) => [hook_no, args]).sort()).toEqual([
      [0, '["x"]'],
      [1, '["y"]'],
      [2, '["z"]'],
      [3, '["u"]'],
    ]);
  });

  it('may be served by another queue’s worker, and nobody else', async () => {
    const main = await running(session(), await worker(), 'a');
    const services = [{ kind: 'workflow', taskQueue: 'elsewhere', name: 'review' }] as const;
    const other = await register(session(), 'other', { services });
    await hookAll(session(), [hookItem('a', { taskQueue: 'elsewhere', workflowName: 'review' })]);
    expect(session().rows).toContainEqual({ item: 0, status: `q${other.services[0]}` });
    expect(await claim(session(), main.worker)).toEqual([]);
    await claimOnly(session(), other, 'a');
  });

  it('opened with fields writes them, with it or not at all', async () => {
    const main = await running(session(), await worker(), 'a', { search: '{"a":"0","b":"0"}' });
    await start(session(), 'shut', { signalIn: false, search: '{"a":"0"}' });
    await hookAll(session(), [
      hookItem('a', { search: '{"b":"1"}' }),
      hookItem('a', { search: '{"c":"2"}' }),
      hookItem('shut', { search: '{"a":"1"}' }),
    ]);
    await step(session(), main, { opens: 1, effects: openHook(0, null, { search: { d: '3' } }) });
    const rows = await session().sql(
      'select e.workflow_id as id, d.search::text from durable.execution e join durable.document d using (run_no) order by 1',
    );
    expect(rows.map(({ id, search }) => [id, JSON.parse(search as string)])).toEqual([
      ['a', { a: '0', b: '1', c: '2', d: '3' }],
      ['shut', { a: '0' }],
    ]);
  });

  const refusals: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['unknown', async () => {}],
    ['pending', () => startAll(session(), [startItem('a', { terms: terms({ pendingMs: 60_000 }) })])],
    ['inactive', async () => complete(session(), await running(session(), await worker(), 'a'))],
    ['closed', () => start(session(), 'a', { signalIn: false })],
  ];
  it.each(refusals)(
    'is refused as %s, to clients and workflows alike; its caller does not wait',
    async (reason, arrange) => {
      await arrange();
      expect(await hookAll(session(), [hookItem('a')])).toEqual([reason]);
      const w = await worker();
      await start(session(), 'b');
      const opener = (await claim(session(), w)).find(({ workflow_id }) => workflow_id === 'b') as Thread;
      const item = entry(opener, { opens: 2, effects: [...openHook(0, 'a'), ...openHook(1, 'a', { awaits: 'back' })] });
      const answer = await commitOne(session(), opener, item);
      expect(JSON.parse(answer.detail ?? '')).toEqual([
        [0, 'unhooked', reason],
        [1, 'unhooked', reason],
      ]);
      const state = await stateOf(session());
      expect(state).toMatchObject({ hooks: [], waits: [] });
      expect(await session().sql('select from durable.rendezvous')).toEqual([]);
      expect(await commitOne(session(), opener, item)).toEqual({ status: 'again', detail: answer.detail });
      expect(await stateOf(session())).toEqual(state);
    },
  );

  it('asked for beside good ones is refused alone', async () => {
    await running(session(), await worker(), 'a');
    const answers = await hookAll(session(), [hookItem('a'), hookItem('nobody'), hookItem('a')]);
    expect(answers).toEqual(['hooked', 'unknown', 'hooked']);
  });

  it('asked for again, because the answer was lost, is the same; also when its workflow was continued or has ended', async () => {
    const main = await running(session(), await worker(), 'a');
    const query = await queryOf((one) => hookAll(one, [hookItem('a')]));
    const first = await session().query(query);
    expect(await session().query(query)).toEqual([first[0]]);
    await step(session(), main, { closing: 'continued', result: '[]' });
    expect(await session().query(query)).toEqual([first[0]]);
    const next = (await claim(session(), main.worker))[0] as Thread;
    await complete(session(), next);
    expect(await session().query(query)).toEqual([first[0]]);
    expect((await stateOf(session())).hooks).toHaveLength(1);
  });

  it('goes into the run that is there now', async () => {
    const main = await running(session(), await worker(), 'a');
    await step(session(), main, { closing: 'continued', result: '[]' });
    expect(await hookAll(session(), [hookItem('a')])).toEqual(['hooked']);
    expect((await stateOf(session())).hooks).toMatchObject([{ thread: 'a/1#2' }]);
  });

  it('opened by the very entry that ends its run ends with it', async () => {
    const main = await running(session(), await worker(), 'a');
    const item = entry(main, { opens: 1, effects: openHook(0), closing: 'completed', result: '1' });
    expect(await commitOne(session(), main, item)).toMatchObject({ status: 'decided' });
    expect(await claim(session(), main.worker)).toEqual([]);
    expect((await stateOf(session())).hooks).toMatchObject([{ state: 'ended' }]);
  });

  it('gets a cancel request that its opener has not seen yet, and none that it has', async () => {
    const main = await running(session(), await worker(), 'a');
    await cancel(session(), 'a');
    await hookAll(session(), [hookItem('a')]);
    await step(session(), main, { opens: 1, effects: openHook(0) });
    const hooks = await claim(session(), main.worker);
    expect(hooks.map(({ mail }) => (JSON.parse(mail ?? '[]') as [number, string][]).map(([, kind]) => kind))).toEqual([
      ['cancel'],
      ['cancel'],
    ]);
    const [cancelled] = (await mailOf(session(), main.worker)).filter(({ thread_no }) => thread_no === main.thread_no);
    await step(session(), main, { opens: 1, consumes: [cancelled!.inbox_no], effects: openHook(1) });
    await hookAll(session(), [hookItem('a')]);
    expect((await claim(session(), main.worker)).map(({ mail }) => mail)).toEqual([null, null]);
  });

  it('hears of a cancel request once, as every thread', async () => {
    const main = await running(session(), await worker(), 'a');
    const hook = await hooked(main);
    await cancel(session(), 'a');
    await cancel(session(), 'a');
    const mail = await mailOf(session(), main.worker);
    expect(mail.map(({ thread_no, kind }) => [thread_no, kind])).toEqual([
      [main.thread_no, 'cancel'],
      [hook.thread_no, 'cancel'],
    ]);
  });

  it.each(['completed', 'failed', 'cancelled'] as const)('that is %s is over alone', async (closing) => {
    const main = await running(session(), await worker(), 'a');
    const hook = await hooked(main);
    await step(session(), hook, { opens: 3, effects: [timer(0, 60_000), wait(1, 'go'), task(2)] });
    await step(session(), hook, { closing, result: '{"message":"x"}' });
    expect(await stateOf(session())).toMatchObject({
      executions: [{ state: 'open' }],
      threads: [
        { thread: 'a/0', state: 'owned' },
        { thread: 'a/0#2', state: 'done' },
      ],
      hooks: [{ state: closing }],
      timers: [],
      waits: [],
      tasks: [],
      inbox: [],
    });
    await complete(session(), main);
  });

  it('gives back what it was sent and did not take, to whoever waits in its workflow', async () => {
    const main = await running(session(), await worker(), 'a');
    const hook = await hooked(main);
    await step(session(), hook, { opens: 1, effects: [wait(0, 'go')] });
    await step(session(), main, { opens: 1, effects: [wait(1, 'go')] });
    expect(await signal(session(), 'go', { workflowId: 'a', payload: '"kept"' })).toBe('delivered');
    await complete(session(), hook);
    await keepHouse(session());
    expect(await stateOf(session())).toMatchObject({
      inbox: [{ thread: 'a/0', signal: 'go', payload: '"kept"' }],
      signals: [],
    });
  });

  it.each(['continued', 'completed'] as const)(
    'of a run that is %s: what it was sent goes on with the chain, or is over',
    async (closing) => {
      const main = await running(session(), await worker(), 'a');
      const hook = await hooked(main);
      await step(session(), hook, { opens: 2, effects: [wait(0, 'to a'), wait(1, 'to anybody')] });
      await signalAll(session(), [signalItem('to a', { workflowId: 'a' }), signalItem('to anybody')]);
      await step(session(), main, { closing, result: '[]' });
      await keepHouse(session());
      const kept = ((await stateOf(session())).signals ?? []).map((one) => one.signal);
      expect(kept).toEqual(closing === 'continued' ? ['to a', 'to anybody'] : ['to anybody']);
    },
  );

  it('receives what is sent to its workflow', async () => {
    const main = await running(session(), await worker(), 'a');
    const hook = await hooked(main);
    await step(session(), hook, { opens: 1, effects: [wait(0, 'go')] });
    expect(await park(session(), hook, [0])).toBe('parked');
    expect(await signal(session(), 'go', { workflowId: 'a' })).toBe('delivered');
    expect((await stateOf(session())).inbox).toMatchObject([{ thread: 'a/0#2', kind: 'signal', op: 0 }]);
    await claimOnly(session(), main.worker, 'a');
  });

  it('has activities that know which function called them', async () => {
    const services = [
      { kind: 'workflow', taskQueue: 'elsewhere', name: 'review' },
      { kind: 'activity', taskQueue: 'elsewhere', name: '' },
    ] as const;
    const main = await running(session(), await worker(), 'a');
    const other = await register(session(), 'other', { services });
    await hookAll(session(), [hookItem('a', { taskQueue: 'elsewhere', workflowName: 'review' })]);
    const hook = await claimOnly(session(), other, 'a');
    await step(session(), hook, { opens: 1, effects: [task(0, 'act', 'elsewhere')] });
    expect(await takeTasks(session(), other)).toMatchObject([
      { workflow_id: 'a', run_no: main.run_no, workflow_queue: 'elsewhere', workflow_name: 'review' },
    ]);
  });

  it('commits nothing once its run has ended', async () => {
    const main = await running(session(), await worker(), 'a');
    const hook = await hooked(main);
    await complete(session(), main);
    expect((await commitOne(session(), hook, entry(hook))).status).toBe('fenced');
    expect((await commitOne(session(), hook, entry(hook, { closing: 'completed' }))).status).toBe('fenced');
  });

  it('and the main thread may end in one call', async () => {
    const main = await running(session(), await worker(), 'a');
    const hook = await hookOf(session(), main, 'owned');
    const items = [main, hook].map((each) => entry(each, { closing: 'completed', result: '1' }));
    expect((await commitAll(session(), main.worker, items)).map(({ status }) => status)).toEqual(['done', 'done']);
    expect(await stateOf(session())).toMatchObject({
      threads: [{ state: 'done' }, { state: 'done' }],
      hooks: [{ state: 'completed' }],
    });
  });
});

onEveryDatabase('a hook that is awaited', (session) => {
  async function asked(workflowId: string | null = null): Promise<{ opener: Thread; hook: Thread }> {
    const worker = await register(session());
    if (workflowId !== null) await running(session(), worker, workflowId);
    const opener = await running(session(), worker, 'asker');
    expect(await step(session(), opener, { opens: 1, effects: openHook(0, workflowId, { awaits: 'back' }) })).toEqual(
      [],
    );
    return { opener, hook: await claimOnly(session(), worker, workflowId ?? 'asker') };
  }

  it('answers by its signal', async () => {
    const { opener, hook } = await asked();
    expect(await park(session(), opener, [0])).toBe('parked');
    expect(await signal(session(), 'back', { payload: '1' })).toBe('delivered');
    await complete(session(), hook);
    expect((await stateOf(session())).inbox).toMatchObject([
      { thread: 'asker/0', kind: 'signal', op: 0, payload: '1' },
    ]);
  });

  it('may find its signal sent already', async () => {
    const worker = await register(session());
    await signal(session(), 'back', { payload: '1' });
    const opener = await running(session(), worker, 'asker');
    const effects = openHook(0, null, { awaits: 'back' });
    expect(await step(session(), opener, { opens: 1, effects })).toEqual([[0, 'signal', 1]]);
    await claimOnly(session(), worker, 'asker');
  });

  it.each(['failed', 'cancelled'] as const)(
    'and %s before its signal tells the caller, and wakes it',
    async (closing) => {
      const { opener, hook } = await asked();
      expect(await park(session(), opener, [0])).toBe('parked');
      const item = entry(hook, { closing, result: '{"message":"no"}' });
      await commitOne(session(), hook, item);
      expect(session().rows).toContainEqual({ item: 0, status: 'hints', detail: `q${opener.service_no}` });
      expect((await commitOne(session(), hook, item)).status).toBe('again');
      expect(await stateOf(session())).toMatchObject({
        inbox: [{ thread: 'asker/0', kind: 'fail', op: 0, payload: '{"message":"no"}' }],
        waits: [],
      });
      expect(await signal(session(), 'back')).toBe('buffered');
    },
  );

  it('and failed behind its signal tells nobody', async () => {
    const { hook } = await asked();
    await signal(session(), 'back');
    await step(session(), hook, { closing: 'failed', result: '{}' });
    expect((await stateOf(session())).inbox).toMatchObject([{ kind: 'signal' }]);
  });

  it('and returned without a signal leaves its caller waiting: somebody else may send it', async () => {
    const { hook } = await asked();
    await complete(session(), hook);
    expect(await stateOf(session())).toMatchObject({ inbox: [], waits: [{ signal: 'back', thread: 'asker/0' }] });
  });

  it.each(['ended', 'continued', 'terminated'] as const)(
    'in a workflow that is %s tells the caller in another one',
    async (how) => {
      const worker = await register(session());
      const target = await running(session(), worker, 'a');
      const opener = await running(session(), worker, 'asker');
      await step(session(), opener, { opens: 1, effects: openHook(0, 'a', { awaits: 'back' }) });
      await claim(session(), worker);
      if (how === 'terminated') await terminate(session(), 'a');
      else await step(session(), target, { closing: how === 'ended' ? 'completed' : 'continued', result: '[]' });
      const state = await stateOf(session());
      expect(state).toMatchObject({ inbox: [{ thread: 'asker/0', kind: 'fail', op: 0 }], waits: [] });
      expect(JSON.parse(state.inbox?.[0]?.payload as string)).toMatchObject({
        type: 'InactiveJobError',
        message: 'Job a already completed',
        job_id: 'a',
      });
    },
  );

  it('tells nobody when its caller has ended', async () => {
    const { opener, hook } = await asked('a');
    await complete(session(), opener);
    await step(session(), hook, { closing: 'failed', result: '{}' });
    expect((await stateOf(session())).inbox).toEqual([]);
  });

  it('is given up by a caller that is cancelled', async () => {
    const { opener } = await asked();
    await step(session(), opener, { resolves: [0], effects: [{ kind: 'unwait', op: 0 }] });
    expect(await stateOf(session())).toMatchObject({ waits: [], hooks: [{ state: 'open' }] });
  });

  it('whose caller gives up when it has failed makes that stale', async () => {
    const { opener, hook } = await asked();
    await step(session(), hook, { closing: 'failed', result: '{}' });
    const item = entry(opener, { resolves: [0], effects: [{ kind: 'unwait', op: 0 }] });
    expect((await commitOne(session(), opener, item)).status).toBe('stale');
  });
});
