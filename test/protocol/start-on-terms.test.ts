/** Starts that say what to do with an id that is taken: see sql/functions/start_on_terms.sql. */

import { describe, expect, it } from 'vitest';
import type { StoredTerms } from '../../src/core/start-terms.js';
import { describeWorkflow, fetchResults } from '../../src/postgres/protocol/executions.js';
import {
  cancel,
  child,
  claim,
  claimOnly,
  complete,
  onEveryDatabase,
  openHook,
  park,
  register,
  running,
  setClock,
  signal,
  start,
  startAll,
  startItem,
  step,
  type Thread,
  terminate,
  terms,
  type Worker,
  wait,
  waiting,
} from '../support/protocol.js';
import { SCHEMA, type Session } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

const again = (id: string, given: StoredTerms, more = {}) =>
  startItem(id, { args: '["second"]', ...more, terms: terms(given) });

const statesOf = async (session: Session) =>
  Object.fromEntries((await stateOf(session)).executions!.map(({ run, state, cause }) => [run, `${state} ${cause}`]));

/** How an id may be taken: each leaves `a` in that state. */
const existing: Record<string, (session: Session, worker: Worker) => Promise<unknown>> = {
  nothing: async () => {},
  reserved: (session) => startAll(session, [startItem('a', { terms: terms({ pendingMs: 60_000 }) })]),
  ready: (session) => start(session, 'a'),
  owned: (session, worker) => running(session, worker, 'a'),
  parked: (session, worker) => waiting(session, worker, 'a', 'go'),
  completed: async (session, worker) => await complete(session, await running(session, worker, 'a')),
  failed: async (session, worker) =>
    await step(session, await running(session, worker, 'a'), { closing: 'failed', result: '{}' }),
  cancelled: async (session, worker) =>
    await step(session, await running(session, worker, 'a'), { closing: 'cancelled', result: '{}' }),
  terminated: async (session) => {
    await start(session, 'a');
    await terminate(session, 'a');
  },
};

const OPEN = ['ready', 'owned', 'parked'];
const FAILED = ['failed', 'cancelled', 'terminated'];

/** What must come of it: the answer, and the newest run. */
function expected(state: string, { reuse, conflict }: StoredTerms): string {
  if (state === 'nothing') return 'started a/0 open start';
  if (state === 'reserved') return 'started a/0 open start'; // a reservation is there to be filled, whatever the policies
  if (OPEN.includes(state)) {
    if (conflict === 'USE_EXISTING') return 'existing a/0 open start';
    return conflict === 'TERMINATE_EXISTING' ? 'started a/1 open reused' : 'duplicate a/0 open start';
  }
  const free =
    reuse === 'ALLOW_DUPLICATE' ||
    (reuse === undefined && conflict === 'TERMINATE_EXISTING') ||
    (reuse === 'ALLOW_DUPLICATE_FAILED_ONLY' && FAILED.includes(state));
  return free ? 'started a/1 open reused' : `duplicate a/0 ${state} start`;
}

const policies: StoredTerms[] = [undefined, 'ALLOW_DUPLICATE', 'ALLOW_DUPLICATE_FAILED_ONLY'].flatMap((reuse) =>
  [undefined, 'USE_EXISTING', 'TERMINATE_EXISTING'].map(
    (conflict) => ({ ...(reuse && { reuse }), ...(conflict && { conflict }), delayMs: 0 }) as StoredTerms,
  ),
);

onEveryDatabase('a start of an id that is', (session) => {
  describe.each(Object.keys(existing))('%s', (state) => {
    it.each(policies.map((given) => [JSON.stringify(given), given] as const))('with %s', async (_, given) => {
      const worker = await register(session());
      await existing[state]!(session(), worker);
      const item = again('a', given);
      const [answer] = await startAll(session(), [item]);
      const newest = (await stateOf(session())).executions!.at(-1)!;
      expect(`${answer?.status} ${newest.run} ${newest.state} ${newest.cause}`).toBe(expected(state, given));
      const { chain_no } = (await describeWorkflow(session(), SCHEMA, 'a', null))!;
      expect(answer?.runNo).toBe(chain_no);
      // the answer was lost: the same request changes nothing
      const before = await stateOf(session());
      expect(await startAll(session(), [item])).toEqual([answer]);
      expect(await stateOf(session())).toEqual(before);
    });
  });
});

onEveryDatabase('a start that uses an id again', (session) => {
  it('begins a chain of its own: the old one keeps its result, its signals and its seeds', async () => {
    const first = await running(session(), await register(session()), 'a', { search: '{"color":"red"}' });
    await complete(session(), first, '"first"');
    const [answer] = await startAll(session(), [again('a', { reuse: 'ALLOW_DUPLICATE' })]);
    const second = await claimOnly(session(), first.worker, 'a');
    expect(second).toMatchObject({ run: 1, run_no: answer?.runNo, chain_no: answer?.runNo, args: '["second"]' });
    expect(second.request_no).not.toBe(first.request_no);
    expect(await fetchResults(session(), SCHEMA, [first.chain_no, second.chain_no])).toMatchObject([
      { chain_no: first.chain_no, state: 'completed', result: '"first"' },
    ]);
    expect((await describeWorkflow(session(), SCHEMA, 'a', null))?.search).toBeNull();
    await complete(session(), second, '"second"');
    expect(await fetchResults(session(), SCHEMA, [first.chain_no])).toMatchObject([{ result: '"first"' }]);
  });

  it('does not reach what is bound to the old chain, nor does that reach the new one', async () => {
    const first = await running(session(), await register(session()), 'a');
    await complete(session(), first);
    await startAll(session(), [again('a', { reuse: 'ALLOW_DUPLICATE' })]);
    const bound = { workflowId: 'a', chainNo: first.chain_no };
    expect(await signal(session(), 'go', bound)).toBe('inactive');
    expect(await cancel(session(), 'a', first.chain_no)).toBe(false);
    expect(await terminate(session(), 'a', { chainNo: first.chain_no })).toBe('completed');
    expect(await statesOf(session())).toMatchObject({ 'a/1': 'open reused' });
    expect(await signal(session(), 'go', { workflowId: 'a' })).toBe('buffered');
    expect(await terminate(session(), 'a')).toBe('terminated');
  });

  it('leaves a repeated terminate of the old one recognised', async () => {
    await start(session(), 'a');
    await terminate(session(), 'a', { requestNo: 4711 });
    await startAll(session(), [again('a', { reuse: 'ALLOW_DUPLICATE' })]);
    expect(await terminate(session(), 'a', { requestNo: 4711 })).toBe('again');
    expect(await statesOf(session())).toMatchObject({ 'a/1': 'open reused' });
  });

  it('may reserve it again, for whoever starts next in the ordinary way', async () => {
    await complete(session(), await running(session(), await register(session()), 'a'));
    const reserve = again('a', { reuse: 'ALLOW_DUPLICATE', pendingMs: 60_000 }, { search: '{"b":1}' });
    const [reserved] = await startAll(session(), [reserve]);
    expect(await statesOf(session())).toMatchObject({ 'a/1': 'pending reused' });
    const item = startItem('a', { search: '{"c":2}' });
    expect(await startAll(session(), [item])).toEqual([reserved]);
    expect(await startAll(session(), [item, reserve])).toEqual([reserved, reserved]);
    expect(await describeWorkflow(session(), SCHEMA, 'a', null)).toMatchObject({ run: 1, search: '{"b": 1, "c": 2}' });
  });

  it('ends what runs with all that belongs to it, and tells who waits for it', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    await step(session(), parent, { opens: 1, effects: [child(0, 'a')] });
    const old = await claimOnly(session(), worker, 'a');
    await step(session(), old, { opens: 2, effects: [...openHook(0), wait(1, 'go')] });
    const [answer] = await startAll(session(), [again('a', { conflict: 'TERMINATE_EXISTING' })]);
    expect(answer?.status).toBe('started');
    const { inbox, hooks, waits } = await stateOf(session());
    expect(waits).toEqual([]);
    expect(hooks).toMatchObject([{ state: 'ended' }]);
    expect(inbox).toMatchObject([{ thread: 'parent/0', kind: 'fail', op: 0 }]);
    expect(JSON.parse(inbox?.[0]?.payload as string)).toMatchObject({
      type: 'TerminatedError',
      code: 410,
      job_id: 'a',
      message: 'job [a] interrupted: a later start took its id',
    });
    expect((await fetchResults(session(), SCHEMA, [old.chain_no]))[0]).toMatchObject({ state: 'terminated' });
  });

  it('refuses nothing else of the call, and each item meets what the earlier ones did', async () => {
    await start(session(), 'b');
    const items = [
      again('b', {}),
      again('a', { conflict: 'USE_EXISTING' }),
      again('a', { conflict: 'USE_EXISTING' }, { args: '["third"]' }),
      again('b', { conflict: 'USE_EXISTING' }),
      again('a', { conflict: 'TERMINATE_EXISTING' }, { args: '["fourth"]' }),
      again('b', { conflict: 'TERMINATE_EXISTING' }),
      again('a', { reuse: 'ALLOW_DUPLICATE' }),
      again('b', { conflict: 'TERMINATE_EXISTING' }, { args: '["last"]' }),
      startItem('c'),
    ];
    const answers = await startAll(session(), items);
    expect(answers.map(({ status }) => status)).toEqual(
      'duplicate started existing existing started started duplicate started started'.split(' '),
    );
    expect(answers[1]?.runNo).toBe(answers[2]?.runNo);
    expect(answers[4]?.runNo).toBe(answers[6]?.runNo);
    expect((await stateOf(session())).executions?.map(({ run, state, args }) => [run, state, args])).toEqual([
      ['a/0', 'terminated', '["second"]'],
      ['a/1', 'open', '["fourth"]'],
      ['b/0', 'terminated', '[]'],
      ['b/1', 'terminated', '["second"]'],
      ['b/2', 'open', '["last"]'],
      ['c/0', 'open', '[]'],
    ]);
    expect(await startAll(session(), items)).toEqual(answers);
  });

  it('by hundreds of requests in one call begins one run', async () => {
    const items = Array.from({ length: 300 }, () => again('a', { conflict: 'USE_EXISTING' }));
    const answers = await startAll(session(), items);
    expect(answers.filter(({ status }) => status === 'started')).toHaveLength(1);
    expect(new Set(answers.map(({ runNo }) => runNo)).size).toBe(1);
    expect((await stateOf(session())).executions).toHaveLength(1);
  });
});

onEveryDatabase('a signal with its start', (session) => {
  const withSignal = (id: string, payload: string, more: StoredTerms = {}) =>
    again(id, {
      signalId: 'go',
      payload,
      expireMs: 60_000,
      conflict: 'USE_EXISTING',
      reuse: 'ALLOW_DUPLICATE',
      ...more,
    });

  it('is there before the first line of a run that it starts', async () => {
    const item = withSignal('a', '1');
    const [answer] = await startAll(session(), [item]);
    expect(answer?.status).toBe('started');
    expect(await startAll(session(), [item])).toEqual([answer]);
    const thread = await claimOnly(session(), await register(session()), 'a');
    expect(await step(session(), thread, { opens: 1, effects: [wait(0, 'go')] })).toEqual([[0, 'signal', 1]]);
    expect((await stateOf(session())).signals).toEqual([]);
  });

  it('reaches the run that waits, and wakes it, once', async () => {
    const worker = await register(session());
    await waiting(session(), worker, 'other', 'go');
    const thread = await waiting(session(), worker, 'a', 'go');
    const item = withSignal('a', '1');
    expect(await startAll(session(), [item])).toEqual([{ status: 'existing', runNo: thread.chain_no }]);
    expect(await startAll(session(), [item])).toMatchObject([{ status: 'existing' }]);
    const { inbox } = await stateOf(session());
    expect(inbox).toMatchObject([{ thread: 'a/0', kind: 'signal', payload: '1' }]);
    expect((await claim(session(), worker)).map(({ workflow_id }) => workflow_id)).toEqual(['a']);
  });

  it('goes to the new run when the old one makes room, and begins one behind the end of the last', async () => {
    const worker = await register(session());
    const old = await waiting(session(), worker, 'a', 'go');
    await startAll(session(), [withSignal('a', '1', { conflict: 'TERMINATE_EXISTING' })]);
    const next = await claimOnly(session(), worker, 'a');
    expect(next.chain_no).not.toBe(old.chain_no);
    expect(await step(session(), next, { opens: 1, effects: [wait(0, 'go')] })).toEqual([[0, 'signal', 1]]);
    await complete(session(), next);
    expect(await startAll(session(), [withSignal('a', '2')])).toMatchObject([{ status: 'started' }]);
    expect(await statesOf(session())).toMatchObject({ 'a/1': 'completed reused', 'a/2': 'open reused' });
  });

  it('keeps the order of several in one call, behind those that are there', async () => {
    await startAll(session(), [withSignal('a', '1'), withSignal('a', '2')]);
    await signal(session(), 'go', { workflowId: 'a', payload: '3' });
    await startAll(session(), [withSignal('a', '4')]);
    expect((await stateOf(session())).signals?.map(({ payload }) => payload)).toEqual(['1', '2', '3', '4']);
  });

  it('fills a reservation, and is not sent when the start is refused', async () => {
    await startAll(session(), [startItem('a', { terms: terms({ pendingMs: 60_000 }) })]);
    expect(await startAll(session(), [withSignal('a', '1')])).toMatchObject([{ status: 'started' }]);
    await terminate(session(), 'a');
    const refused = again('a', { signalId: 'no', expireMs: 60_000 });
    expect(await startAll(session(), [refused])).toMatchObject([{ status: 'duplicate' }]);
    expect((await stateOf(session())).signals?.filter((kept) => kept.signal === 'no')).toEqual([]);
  });
});

onEveryDatabase('a start that is put off', (session) => {
  it('is claimed when its delay is over, and not before', async () => {
    const worker = await register(session());
    await startAll(session(), [startItem('a', { terms: terms({ delayMs: 60_000 }) })]);
    expect(await claim(session(), worker)).toEqual([]);
    await setClock(session(), '61 seconds');
    expect(await claimOnly(session(), worker, 'a')).toMatchObject({ run: 0 });
  });

  it('is brought forward by a cancel request', async () => {
    const worker = await register(session());
    await startAll(session(), [startItem('a', { terms: terms({ delayMs: 60_000 }) })]);
    expect(await cancel(session(), 'a')).toBe(true);
    const thread: Thread = await claimOnly(session(), worker, 'a');
    expect(JSON.parse(thread.mail ?? '[]')).toMatchObject([[expect.anything(), 'cancel', null, null]]);
    expect(await park(session(), thread, [])).toBe('mail');
  });

  it('keeps signals that come meanwhile', async () => {
    const worker = await register(session());
    await startAll(session(), [startItem('a', { terms: terms({ delayMs: 60_000 }) })]);
    expect(await signal(session(), 'go', { workflowId: 'a', payload: '1' })).toBe('buffered');
    expect(await claim(session(), worker)).toEqual([]);
    await setClock(session(), '61 seconds');
    const thread = await claimOnly(session(), worker, 'a');
    expect(await step(session(), thread, { opens: 1, effects: [wait(0, 'go')] })).toEqual([[0, 'signal', 1]]);
  });
});
