import { describe, expect, it } from 'vitest';
import { describeWorkflow, fetchResults, type StartItem } from '../../src/postgres/protocol/executions.js';
import {
  claim,
  claimOnly,
  complete,
  expireLease,
  onEveryDatabase,
  reapDead,
  register,
  release,
  running,
  setClock,
  signal,
  start,
  startAll,
  startHere,
  startItem,
  step,
  type Thread,
  terminate,
  terms,
  wait,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

onEveryDatabase('start', (session) => {
  const look = (workflowId: string) => describeWorkflow(session(), SCHEMA, workflowId, null);

  describe('by a process that serves the workflow', () => {
    it('gives it to that process at once: nobody is told, and no claim finds it', async () => {
      const [here, other] = [await register(session(), 'here'), await register(session(), 'other')];
      const { answers, hints } = await startHere(session(), here, [startItem('a')], 7);
      expect(answers).toMatchObject([{ status: 'started', owned: { serviceNo: here.services[0] } }]);
      expect(hints).toBe('');
      expect(await look('a')).toMatchObject({ thread_state: 'owned' });
      expect(await claim(session(), other)).toEqual([]);
      // Its claim, asked for again.
      const [thread] = await claim(session(), here, { claimNo: 7 });
      expect(thread).toMatchObject({ workflow_id: 'a', epoch: 1, last_seq: null });
      await complete(session(), thread as Thread);
      expect(await look('a')).toMatchObject({ state: 'completed' });
    });

    it('leaves to others what it does not serve, what is on terms, and what fills a reservation', async () => {
      const here = await register(session());
      await startAll(session(), [startItem('reserved', { terms: terms({ pendingMs: 60_000 }) })]);
      const started = async (item: StartItem, services = here.services) =>
        (await startHere(session(), { ...here, services }, [item])).answers[0];
      expect(await started(startItem('a'), [])).not.toHaveProperty('owned');
      expect(await started(startItem('b', { terms: terms({ delayMs: 0 }) }))).not.toHaveProperty('owned');
      expect(await started(startItem('reserved'))).not.toHaveProperty('owned');
      expect((await claim(session(), here)).map(({ workflow_id }) => workflow_id).sort()).toEqual([
        'a',
        'b',
        'reserved',
      ]);
    });

    it('answers what is, when it is asked again', async () => {
      const here = await register(session());
      const item = startItem('a');
      const first = await startHere(session(), here, [item], 7);
      expect(await startHere(session(), here, [item], 7)).toMatchObject({ answers: first.answers });
      const [thread] = await claim(session(), here, { claimNo: 7 });
      await release(session(), thread as Thread);
      await claimOnly(session(), here, 'a');
      const again = await startHere(session(), here, [item], 7);
      expect(again.answers[0]).toMatchObject({ status: 'started' });
      expect(again.answers[0]).not.toHaveProperty('owned');
    });

    it('starts nothing for a worker that has lost its lease', async () => {
      const here = await register(session());
      await expireLease(session(), here);
      await expect(startHere(session(), here, [startItem('a')])).rejects.toMatchObject({ code: 'PD002' });
      expect(await look('a')).toBeNull();
      await reapDead(session());
    });
  });

  it('makes a run that holds what was given, and waits for a worker', async () => {
    const runNo = await start(session(), 'a', {
      args: '[1,"\\u0000"]',
      config: '{"maximumAttempts":3}',
      entity: '{"b":1,"a":2}',
      search: '{"color":"red"}',
      parentWorkflowId: 'p',
      originId: 'o',
    });
    expect(await look('a')).toMatchObject({
      run_no: runNo,
      chain_no: runNo,
      run: 0,
      state: 'open',
      cause: 'start',
      task_queue: 'queue',
      workflow_name: 'flow',
      args: '[1,"\\u0000"]',
      entity: '{"b":1,"a":2}',
      search: '{"color": "red"}',
      parent_workflow_id: 'p',
      origin_id: 'o',
      thread_state: 'ready',
      entries: 0,
      cancel_requested: false,
    });
    const thread = await claimOnly(session(), await register(session()), 'a');
    expect(thread).toMatchObject({
      args: '[1,"\\u0000"]',
      config: '{"maximumAttempts":3}',
      run: 0,
      last_seq: null,
      mail: null,
    });
  });

  it('refuses an id that is taken, and nothing else of the call', async () => {
    const first = await start(session(), 'taken', { args: '["first"]' });
    const items = ['new-1', 'taken', 'new-2'].map((id) => startItem(id, { args: '["second"]' }));
    const answers = await startAll(session(), items);
    expect(answers.map(({ status }) => status)).toEqual(['started', 'duplicate', 'started']);
    expect(answers[1]?.runNo).toBe(first);
    const { executions } = await stateOf(session());
    expect(executions?.map(({ run, args }) => [run, args])).toEqual([
      ['new-1/0', '["second"]'],
      ['new-2/0', '["second"]'],
      ['taken/0', '["first"]'],
    ]);
  });

  it('gives an id to one of two that ask for it in the same call', async () => {
    const answers = await startAll(session(), [startItem('a'), startItem('b'), startItem('a')]);
    expect(answers.map(({ status }) => status).sort()).toEqual(['duplicate', 'started', 'started']);
    expect(answers[0]?.runNo).toBe(answers[2]?.runNo);
  });

  it('answers the same call again with the same runs, and starts nothing', async () => {
    const items = [startItem('a'), startItem('b')];
    const first = await startAll(session(), items);
    const before = await stateOf(session());
    expect(await startAll(session(), items)).toEqual(first);
    expect(await stateOf(session())).toEqual(before);
  });

  it('recognises its own earlier call even when the run has ended since', async () => {
    const item = startItem('a');
    const [first] = await startAll(session(), [item]);
    const thread = await claimOnly(session(), await register(session()), 'a');
    await complete(session(), thread);
    expect(await startAll(session(), [item])).toEqual([first]);
  });

  it('keeps an id taken after its run has ended', async () => {
    const thread = await running(session(), await register(session()), 'a');
    await complete(session(), thread, '"first"');
    expect(await startAll(session(), [startItem('a')])).toEqual([{ status: 'duplicate', runNo: thread.run_no }]);
    expect(await fetchResults(session(), SCHEMA, [thread.run_no])).toEqual([
      { chain_no: thread.run_no, run_no: thread.run_no, state: 'completed', result: '"first"' },
    ]);
  });

  it('says which of the asked runs is unknown, and nothing of those still open', async () => {
    const open = await start(session(), 'a');
    expect(await fetchResults(session(), SCHEMA, [open, 999])).toEqual([
      { chain_no: 999, run_no: null, state: 'unknown', result: null },
    ]);
  });

  describe('a reservation', () => {
    const reserve = (id: string, ms = 60_000) =>
      startItem(id, { terms: terms({ pendingMs: ms }), search: '{"a":1,"b":1}', entity: '{"e":1}' });

    it('holds the id and is run by nobody', async () => {
      const item = reserve('a');
      const [first] = await startAll(session(), [item]);
      expect(first?.status).toBe('started');
      expect(await startAll(session(), [item])).toEqual([first]);
      expect(await claim(session(), await register(session()))).toEqual([]);
      expect(await look('a')).toMatchObject({ state: 'pending', thread_state: 'pending' });
      expect(await fetchResults(session(), SCHEMA, [first?.runNo ?? 0])).toEqual([]);
    });

    it('becomes the run of whoever starts first, under the number that was reserved', async () => {
      const [reserved] = await startAll(session(), [reserve('a')]);
      const item = startItem('a', { args: '["real"]', search: '{"b":2}', taskQueue: 'elsewhere' });
      expect(await startAll(session(), [item])).toEqual([reserved]);
      expect(await startAll(session(), [item])).toEqual([reserved]);
      expect(await startAll(session(), [startItem('a')])).toMatchObject([{ status: 'duplicate' }]);
      expect(await look('a')).toMatchObject({
        state: 'open',
        thread_state: 'ready',
        args: '["real"]',
        task_queue: 'elsewhere',
        search: '{"a": 1, "b": 2}',
        entity: '{"e":1}',
      });
    });

    it('keeps its search fields and those of the start, however large', async () => {
      const large = (field: string) => JSON.stringify({ [field]: 'x'.repeat(1_000_000) });
      const [reserved] = await startAll(session(), [
        startItem('a', { terms: terms({ pendingMs: 60_000 }), search: large('a') }),
      ]);
      expect(await startAll(session(), [startItem('a', { search: large('b') })])).toEqual([reserved]);
      expect(Object.keys(JSON.parse((await look('a'))?.search ?? '{}') as object)).toEqual(['a', 'b']);
    });

    it('is refused to a second one while it lasts, and free again when it has lapsed', async () => {
      await startAll(session(), [reserve('a', 60_000)]);
      expect(await startAll(session(), [reserve('a')])).toMatchObject([{ status: 'duplicate' }]);
      await setClock(session(), '2 minutes');
      expect(await startAll(session(), [reserve('a', 600_000)])).toMatchObject([{ status: 'started' }]);
      expect(await startAll(session(), [reserve('a')])).toMatchObject([{ status: 'duplicate' }]);
      expect(await startAll(session(), [startItem('a')])).toMatchObject([{ status: 'started' }]);
    });

    it('is filled once by one call that asks twice', async () => {
      await startAll(session(), [reserve('a')]);
      const answers = await startAll(session(), [startItem('a', { args: '[1]' }), startItem('a', { args: '[2]' })]);
      expect(answers.map(({ status }) => status).sort()).toEqual(['duplicate', 'started']);
    });

    it('keeps signals for the run to come', async () => {
      await startAll(session(), [reserve('a')]);
      expect(await signal(session(), 'go', { workflowId: 'a', payload: '1' })).toBe('buffered');
      const thread = await running(session(), await register(session()), 'a');
      expect(await step(session(), thread, { opens: 1, effects: [wait(0, 'go')] })).toEqual([[0, 'signal', 1]]);
    });

    it('may be terminated, and is then taken for good', async () => {
      await startAll(session(), [reserve('a')]);
      expect(await terminate(session(), 'a')).toBe('terminated');
      expect(await look('a')).toMatchObject({ state: 'terminated', thread_state: 'done' });
      expect(await startAll(session(), [startItem('a')])).toMatchObject([{ status: 'duplicate' }]);
    });
  });
});
