/** What housekeeping ends when it is due: runs past their timeouts, reservations that nobody filled. */

import { expect, it } from 'vitest';
import type { StoredTerms } from '../../src/core/start-terms.js';
import { describeWorkflow, fetchResults } from '../../src/postgres/protocol/executions.js';
import {
  childOn,
  claimOnly,
  commitOne,
  complete,
  endDue,
  entry,
  onEveryDatabase,
  onServer,
  openHook,
  park,
  reapDead,
  register,
  setClock,
  signal,
  start,
  startAll,
  startItem,
  step,
  terms,
  timer,
  wait,
} from '../support/protocol.js';
import { openSession, SCHEMA, type Session } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

const startOn = async (session: Session, id: string, given: StoredTerms) =>
  (await startAll(session, [startItem(id, { terms: terms(given) })]))[0]!.runNo;

const statesOf = async (session: Session) =>
  Object.fromEntries((await stateOf(session)).executions!.map(({ run, state }) => [run, state]));

onEveryDatabase('a run that takes longer than it may', (session) => {
  it('fails when its time is over and not before, wherever it is', async () => {
    const worker = await register(session());
    await startOn(session(), 'owned', { runTimeoutMs: 60_000 });
    const owned = await claimOnly(session(), worker, 'owned');
    await startOn(session(), 'parked', { executionTimeoutMs: 60_000 });
    const parked = await claimOnly(session(), worker, 'parked');
    await step(session(), parked, { opens: 2, effects: [wait(0, 'go'), timer(1, 3_600_000)] });
    expect(await park(session(), parked, [0, 1])).toBe('parked');
    await startOn(session(), 'ready', { runTimeoutMs: 60_000 });
    await start(session(), 'unlimited');
    await setClock(session(), '59 seconds');
    expect(await endDue(session())).toBeNull();
    expect(Object.values(await statesOf(session()))).toEqual(Array(4).fill('open'));
    await setClock(session(), '61 seconds');
    expect(await endDue(session())).toContain('r');
    expect(await statesOf(session())).toEqual({
      'owned/0': 'failed',
      'parked/0': 'failed',
      'ready/0': 'failed',
      'unlimited/0': 'open',
    });
    const { timers, waits } = await stateOf(session());
    expect([timers, waits]).toEqual([[], []]);
    expect(await commitOne(session(), owned, entry(owned))).toMatchObject({ status: 'fenced' });
    expect(await endDue(session())).toBeNull();
  });

  it.each([
    [{ runTimeoutMs: 2_500 }, 'WORKFLOW_RUN', 'Job a exceeded its workflowRunTimeout of 2.5s'],
    [{ executionTimeoutMs: 2_500 }, 'WORKFLOW_EXECUTION', 'Job a exceeded its workflowExecutionTimeout'],
    [
      { executionTimeoutMs: 2_500, runTimeoutMs: 9_000 },
      'WORKFLOW_EXECUTION',
      'Job a exceeded its workflowExecutionTimeout',
    ],
  ])('says by its failure which limit it was: %j', async (given, timeoutType, message) => {
    const runNo = await startOn(session(), 'a', given);
    await setClock(session(), '3 seconds');
    await endDue(session());
    const [row] = await fetchResults(session(), SCHEMA, [runNo]);
    expect(row?.state).toBe('failed');
    expect(JSON.parse(row?.result ?? 'null')).toMatchObject({
      type: 'DurableTimeoutError',
      code: 596,
      message,
      details: { timeoutType },
    });
  });

  it('tells its parent, and ends its hooks and whoever waits for them', async () => {
    const worker = await register(session());
    await start(session(), 'parent');
    const parent = await claimOnly(session(), worker, 'parent');
    await step(session(), parent, { opens: 1, effects: [childOn(0, 'kid', { runTimeoutMs: 1_000 })] });
    expect(await park(session(), parent, [0])).toBe('parked');
    const kid = await claimOnly(session(), worker, 'kid');
    await step(session(), kid, { opens: 1, effects: openHook(0, null, { awaits: 'back' }) });
    await setClock(session(), '2 seconds');
    await endDue(session());
    const { inbox, hooks, threads } = await stateOf(session());
    expect(inbox).toMatchObject([{ thread: 'parent/0', kind: 'fail', op: 0 }]);
    expect(hooks).toMatchObject([{ state: 'ended' }]);
    expect(threads).toMatchObject([
      { thread: 'kid/0', state: 'done' },
      { state: 'done' },
      { thread: 'parent/0', state: 'ready' },
    ]);
  });

  it('has as long again in its next run, but its chain has not', async () => {
    const worker = await register(session());
    await startOn(session(), 'a', { runTimeoutMs: 60_000, executionTimeoutMs: 100_000 });
    const first = await claimOnly(session(), worker, 'a');
    await setClock(session(), '50 seconds');
    await step(session(), first, { closing: 'continued', result: '[]' });
    await setClock(session(), '99 seconds');
    expect(await endDue(session())).toBeNull();
    await setClock(session(), '101 seconds');
    await endDue(session());
    expect(await statesOf(session())).toEqual({ 'a/0': 'continued', 'a/1': 'failed' });
    expect(JSON.parse((await describeWorkflow(session(), SCHEMA, 'a', null))?.result ?? '')).toMatchObject({
      details: { timeoutType: 'WORKFLOW_EXECUTION' },
    });
  });

  it('counts from the end of its delay', async () => {
    await startOn(session(), 'a', { delayMs: 60_000, runTimeoutMs: 60_000 });
    await setClock(session(), '119 seconds');
    expect(await endDue(session())).toBeNull();
    await setClock(session(), '121 seconds');
    await endDue(session());
    expect(await statesOf(session())).toEqual({ 'a/0': 'failed' });
  });

  it('is left alone when it has ended in time', async () => {
    await startOn(session(), 'a', { runTimeoutMs: 1_000 });
    await complete(session(), await claimOnly(session(), await register(session()), 'a'));
    await setClock(session(), '2 seconds');
    expect(await endDue(session())).toBeNull();
    expect(await statesOf(session())).toEqual({ 'a/0': 'completed' });
  });

  it('is announced by the reaper when its end is near', async () => {
    await startOn(session(), 'a', { runTimeoutMs: 60_000 });
    expect(await reapDead(session())).not.toContain('o');
    await setClock(session(), '59 seconds');
    expect(await reapDead(session())).toContain('o');
  });
});

onEveryDatabase('a reservation that nobody fills', (session) => {
  it('is forgotten when it lapses, with its signals, and its id is free for anything', async () => {
    const reserve = startItem('a', { terms: terms({ pendingMs: 60_000 }), search: '{"a":1}' });
    const [reserved] = await startAll(session(), [reserve]);
    expect(await signal(session(), 'go', { workflowId: 'a' })).toBe('buffered');
    expect(await describeWorkflow(session(), SCHEMA, 'a', null)).toMatchObject({
      state: 'pending',
      search: '{"a": 1}',
    });
    await setClock(session(), '59 seconds');
    expect(await endDue(session())).toBeNull();
    expect(await describeWorkflow(session(), SCHEMA, 'a', null)).not.toBeNull();
    await setClock(session(), '61 seconds');
    await endDue(session());
    const { executions, threads, documents } = await stateOf(session());
    expect([executions, threads, documents]).toEqual([[], [], []]);
    expect(await fetchResults(session(), SCHEMA, [reserved!.runNo])).toMatchObject([{ state: 'unknown' }]);
    // whoever takes the id now does not get what was sent to it
    await start(session(), 'a');
    const thread = await claimOnly(session(), await register(session()), 'a');
    expect(await step(session(), thread, { opens: 1, effects: [wait(0, 'go')] })).toEqual([]);
  });

  it('that was filled in time runs as long as it likes', async () => {
    await startOn(session(), 'a', { pendingMs: 60_000 });
    await start(session(), 'a');
    await setClock(session(), '1 hour');
    expect(await endDue(session())).toBeNull();
    expect(await statesOf(session())).toEqual({ 'a/0': 'open' });
  });

  it('gives way to one that comes before housekeeping does', async () => {
    await startOn(session(), 'a', { pendingMs: 60_000 });
    await setClock(session(), '61 seconds');
    expect(await startOn(session(), 'a', { pendingMs: 60_000 })).toBeGreaterThan(0);
    expect(await endDue(session())).toBeNull();
    await setClock(session(), '130 seconds');
    await endDue(session());
    expect(await statesOf(session())).toEqual({});
  });
});

onServer('what is due and held by somebody', (session, url) => {
  it.each([
    ['the run', 'select from durable.execution where workflow_id = $1 for update'],
    [
      'a thread of the run',
      'select from durable.thread where run_no = (select run_no from durable.execution where workflow_id = $1) for update',
    ],
  ])('(%s) is left for later, and holds up nothing else', async (_, hold) => {
    await startOn(session(), 'held', { runTimeoutMs: 1_000 });
    await startOn(session(), 'free', { runTimeoutMs: 1_000 });
    await setClock(session(), '2 seconds');
    const holder = await openSession(url());
    try {
      await holder.sql('begin');
      await holder.sql(hold, 'held');
      expect(await endDue(session())).toContain('r');
      expect(await statesOf(session())).toEqual({ 'free/0': 'failed', 'held/0': 'open' });
      await holder.sql('commit');
    } finally {
      await holder.close();
    }
    expect(await endDue(session())).toContain('r');
    expect(await statesOf(session())).toEqual({ 'free/0': 'failed', 'held/0': 'failed' });
  });
});
