import { describe, expect, it } from 'vitest';
import { describeWorkflow, fetchResults } from '../../src/postgres/protocol/executions.js';
import {
  cancel,
  child,
  claim,
  claimOnly,
  commitOne,
  complete,
  entry,
  hookOf,
  keepHouse,
  mailOf,
  onEveryDatabase,
  park,
  register,
  running,
  setClock,
  signal,
  signalAll,
  signalItem,
  startAll,
  startItem,
  step,
  type Thread,
  task,
  terminate,
  timer,
  wait,
  waiting,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

onEveryDatabase('continueAsNew', (session) => {
  const continued = (thread: Thread, args = '["next"]') =>
    step(session(), thread, { closing: 'continued', result: args });

  it('ends the run and begins the next in one commit, with the new arguments', async () => {
    const worker = await register(session());
    const given = {
      config: '{"c":1}',
      search: '{"s":1}',
      entity: '{"e":1}',
      expireS: 5,
      originId: 'o',
      parentWorkflowId: 'p',
    };
    const first = await running(session(), worker, 'a', given);
    await step(session(), first, { opens: 3, effects: [timer(0, 60_000), wait(1, 'go'), task(2)] });
    await continued(first);
    expect(await stateOf(session())).toMatchObject({
      executions: [
        { run: 'a/0', state: 'continued', cause: 'start' },
        { run: 'a/1', state: 'open', cause: 'continued', args: '["next"]', cancel: false },
      ],
      threads: [{ state: 'done' }, { state: 'ready', claimable: true }],
      timers: [],
      waits: [],
      tasks: [],
    });
    const second = await claimOnly(session(), worker, 'a');
    expect(second).toMatchObject({
      run: 1,
      chain_no: first.run_no,
      args: '["next"]',
      config: '{"c":1}',
      expire_s: 5,
      origin_id: 'o',
      parent_workflow_id: 'p',
      last_seq: null,
      mail: null,
    });
    expect(second.request_no).not.toBe(first.request_no);
    expect(await describeWorkflow(session(), SCHEMA, 'a', first.chain_no)).toMatchObject({
      run: 1,
      search: '{"s": 1}',
      entity: '{"e":1}',
    });
    await step(session(), second);
  });

  it('repeated begins no third run', async () => {
    const thread = await running(session(), await register(session()), 'a');
    const item = entry(thread, { closing: 'continued', result: '[]' });
    expect(await commitOne(session(), thread, item)).toMatchObject({ status: 'done' });
    expect(await commitOne(session(), thread, item)).toMatchObject({ status: 'again' });
    expect((await stateOf(session())).executions).toHaveLength(2);
  });

  it('is followed to the last run by whoever asks for the result', async () => {
    const worker = await register(session());
    const first = await running(session(), worker, 'a');
    await continued(first);
    expect(await fetchResults(session(), SCHEMA, [first.chain_no])).toEqual([]);
    const second = await claimOnly(session(), worker, 'a');
    await continued(second);
    const third = await claimOnly(session(), worker, 'a');
    await complete(session(), third, '"end"');
    expect(await fetchResults(session(), SCHEMA, [first.chain_no])).toEqual([
      { chain_no: first.chain_no, run_no: third.run_no, state: 'completed', result: '"end"' },
    ]);
  });

  it('keeps the id taken, and lets the newest run be signalled, cancelled and terminated', async () => {
    const worker = await register(session());
    await continued(await running(session(), worker, 'a'));
    expect(await startAll(session(), [startItem('a')])).toMatchObject([{ status: 'duplicate' }]);
    expect(await signal(session(), 'go', { workflowId: 'a' })).toBe('buffered');
    expect(await cancel(session(), 'a')).toBe(true);
    expect(await terminate(session(), 'a')).toBe('terminated');
    expect((await stateOf(session())).executions?.map(({ state, cancel: asked }) => [state, asked])).toEqual([
      ['continued', false],
      ['terminated', true],
    ]);
  });

  it('ends the hooks of the run', async () => {
    const worker = await register(session());
    const main = await running(session(), worker, 'a');
    const hook = await hookOf(session(), main, 'owned');
    await continued(main);
    expect(await commitOne(session(), hook, entry(hook))).toMatchObject({ status: 'fenced' });
    expect((await stateOf(session())).threads?.map(({ state }) => state)).toEqual(['done', 'done', 'ready']);
  });

  describe('carries along', () => {
    it('a cancel that the run has not heard of', async () => {
      const worker = await register(session());
      const first = await running(session(), worker, 'a');
      await cancel(session(), 'a');
      await continued(first);
      const second = await claimOnly(session(), worker, 'a');
      expect(second.cancel_requested).toBe(true);
      expect(JSON.parse(second.mail ?? '')).toMatchObject([[expect.any(Number), 'cancel', null, null]]);
    });

    it('no cancel that the run has heard of', async () => {
      const worker = await register(session());
      const first = await running(session(), worker, 'a');
      await cancel(session(), 'a');
      const [mail] = await mailOf(session(), worker);
      await step(session(), first, { consumes: [mail!.inbox_no], closing: 'continued', result: '[]' });
      const second = await claimOnly(session(), worker, 'a');
      expect(second).toMatchObject({ cancel_requested: false, mail: null });
      expect(await cancel(session(), 'a')).toBe(true);
      expect(await mailOf(session(), worker)).toMatchObject([{ kind: 'cancel' }]);
    });

    it('signals that came and were not consumed, in their order, before later ones', async () => {
      const worker = await register(session());
      const first = await running(session(), worker, 'a');
      await step(session(), first, { opens: 3, effects: [wait(0, 'go'), wait(1, 'go'), wait(2, 'go')] });
      const sent = [1, 2, 3, 4].map((n) => signalItem('go', { payload: `${n}`, workflowId: n === 2 ? null : 'a' }));
      expect(await signalAll(session(), sent)).toEqual(['delivered', 'delivered', 'delivered', 'buffered']);
      const [one] = await mailOf(session(), worker);
      await step(session(), first, { resolves: [0], consumes: [one!.inbox_no], closing: 'continued', result: '[]' });
      await signal(session(), 'go', { payload: '5', workflowId: 'a' });
      const second = await claimOnly(session(), worker, 'a');
      const effects = [0, 1, 2, 3, 4].map((op) => wait(op, 'go'));
      expect(await step(session(), second, { opens: 5, effects })).toEqual([
        [0, 'signal', 2],
        [1, 'signal', 3],
        [2, 'signal', 4],
        [3, 'signal', 5],
      ]);
    });

    it('signals that were kept for it', async () => {
      const worker = await register(session());
      const first = await running(session(), worker, 'a');
      await signal(session(), 'go', { workflowId: 'a', payload: '1' });
      await continued(first);
      const second = await claimOnly(session(), worker, 'a');
      expect(await step(session(), second, { opens: 1, effects: [wait(0, 'go')] })).toEqual([[0, 'signal', 1]]);
    });

    it('its parent, who hears of the last run once', async () => {
      const worker = await register(session());
      const parent = await running(session(), worker, 'parent');
      await step(session(), parent, { opens: 1, effects: [child(0, 'child')] });
      expect(await park(session(), parent, [0])).toBe('parked');
      await continued(await claimOnly(session(), worker, 'child'));
      expect(await stateOf(session())).toMatchObject({ inbox: [] });
      await complete(session(), await claimOnly(session(), worker, 'child'), '"last"');
      expect(await stateOf(session())).toMatchObject({
        inbox: [{ thread: 'parent/0', kind: 'done', op: 0, payload: '"last"' }],
      });
    });
  });
});

onEveryDatabase('a signal that a run ended without consuming', (session) => {
  const putBack = async (
    closing: 'completed' | 'continued',
    given: { workflowId?: string; expireMs?: number } = {},
  ) => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1, effects: [wait(0, 'go')] });
    expect(await signal(session(), 'go', { payload: '"back"', ...given })).toBe('delivered');
    return { worker, end: () => step(session(), thread, { closing, result: '[]' }) };
  };

  it('goes to the next who waits, if it was for anybody', async () => {
    const { worker, end } = await putBack('completed');
    await end();
    expect(await stateOf(session())).toMatchObject({ signals: [{ payload: '"back"', returned: true }] });
    const next = await running(session(), worker, 'next');
    expect(await step(session(), next, { opens: 1, effects: [wait(0, 'go')] })).toEqual([[0, 'signal', 'back']]);
  });

  it('goes to one who waits already, at the next look', async () => {
    const { worker, end } = await putBack('completed');
    await waiting(session(), worker, 'next', 'go');
    await end();
    expect(await keepHouse(session())).toMatch(/^q\d+$/);
    expect(await stateOf(session())).toMatchObject({
      inbox: [{ thread: 'next/0', payload: '"back"' }],
      signals: [],
      waits: [],
    });
  });

  it('stays in the buffer when nobody waits', async () => {
    const { end } = await putBack('completed');
    await end();
    expect(await keepHouse(session())).toBe('');
    expect(await stateOf(session())).toMatchObject({ signals: [{ payload: '"back"', returned: false }] });
  });

  it('is gone when it was for that workflow, which has ended', async () => {
    const { end } = await putBack('completed', { workflowId: 'a' });
    await end();
    expect(await stateOf(session())).toMatchObject({ signals: [], inbox: [] });
  });

  it('that was for that workflow is for its next run only', async () => {
    const { worker, end } = await putBack('continued', { workflowId: 'a' });
    await waiting(session(), worker, 'other', 'go');
    await end();
    await keepHouse(session());
    const second = await claimOnly(session(), worker, 'a');
    expect(await step(session(), second, { opens: 1, effects: [wait(0, 'go')] })).toEqual([[0, 'signal', 'back']]);
    expect(await stateOf(session())).toMatchObject({ waits: [{ thread: 'other/0' }] });
  });

  it('is not delivered after it has expired', async () => {
    const { worker, end } = await putBack('completed', { expireMs: 60_000 });
    await waiting(session(), worker, 'next', 'go');
    await setClock(session(), '2 minutes');
    await end();
    await keepHouse(session());
    expect(await stateOf(session())).toMatchObject({ inbox: [], waits: [{ thread: 'next/0' }] });
    await keepHouse(session());
    expect(await stateOf(session())).toMatchObject({ signals: [] });
  });

  it('is received before one that was sent later, though somebody waits already', async () => {
    const { worker, end } = await putBack('completed');
    await waiting(session(), worker, 'next', 'go');
    await end();
    await signal(session(), 'go', { payload: '"later"' });
    await keepHouse(session());
    expect(await stateOf(session())).toMatchObject({
      inbox: [{ thread: 'next/0', payload: '"back"' }],
      signals: [{ payload: '"later"' }],
    });
    expect(await claim(session(), worker)).toHaveLength(1);
  });
});
