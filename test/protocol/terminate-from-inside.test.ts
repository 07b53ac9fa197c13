/** The 'terminate' effect of a commit, and the generations that end behind a terminated run. */

import { describe, expect, it } from 'vitest';
import {
  child,
  claim,
  claimOnly,
  commitAll,
  commitOne,
  complete,
  end,
  endGeneration,
  entry,
  hookOf,
  keepHouse,
  nextNumber,
  onEveryDatabase,
  onServer,
  park,
  register,
  running,
  send,
  signal,
  start,
  startAll,
  startItem,
  step,
  task,
  terminate,
  terms,
  timer,
  violations,
  wait,
} from '../support/protocol.js';
import { failureOf, SCHEMA, type Session } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

const statesOf = async (session: Session) =>
  Object.fromEntries((await stateOf(session)).executions!.map(({ run, state }) => [run, state]));

onEveryDatabase('a workflow that terminates another', (session) => {
  it('is told of one that was pruned as it was looked up: there is none of that id', async () => {
    const worker = await register(session());
    const judge = await running(session(), worker, 'judge');
    await session().sql('begin');
    try {
      await session().sql(`set local statement_timeout to '5s'`);
      await session().sql(
        `create or replace function ${SCHEMA}.latest_run(p_workflow_id text) returns bigint language sql stable as 'select 999999::bigint'`,
      );
      expect(await step(session(), judge, { opens: 1, effects: [end(0, 'gone')] })).toEqual([[0, 'unknown']]);
    } finally {
      await session().sql('rollback');
    }
  });

  it('ends it in the commit that records the call, and leaves nothing of it behind', async () => {
    const worker = await register(session());
    const other = await running(session(), worker, 'other');
    await step(session(), other, { opens: 3, effects: [timer(0, 60_000), wait(1, 'go'), task(2)] });
    expect(await park(session(), other, [0, 1, 2])).toBe('parked');
    const judge = await running(session(), worker, 'judge');
    expect(await step(session(), judge, { opens: 1, effects: [end(0, 'other')] })).toEqual([]);
    expect(await stateOf(session())).toMatchObject({
      executions: [{ state: 'open' }, { run: 'other/0', state: 'terminated' }],
      threads: [{ state: 'owned' }, { state: 'done' }],
      timers: [],
      waits: [],
      tasks: [],
    });
    expect((await stateOf(session())).history?.at(-1)).toMatchObject({
      thread: 'other/0',
      closes: true,
      worker: null,
      result: '"ended from inside"',
    });
  });

  it('is told when there is none, and when it has ended, in the row that records the call', async () => {
    const worker = await register(session());
    await complete(session(), await running(session(), worker, 'ended'));
    const judge = await running(session(), worker, 'judge');
    await start(session(), 'open');
    const effects = [end(0, 'nobody'), end(1, 'ended'), end(2, 'open'), end(3, 'open'), send(4, 'news')];
    const item = entry(judge, { opens: 5, effects });
    const decided = [
      [4, 'buffered'],
      [0, 'unknown'],
      [1, 'completed'],
      [3, 'completed'],
    ];
    const first = await commitOne(session(), judge, item);
    expect(JSON.parse(first.detail ?? 'null')).toEqual(decided);
    expect(await statesOf(session())).toEqual({ 'ended/0': 'completed', 'judge/0': 'open', 'open/0': 'terminated' });
    const before = await stateOf(session());
    expect(await commitOne(session(), judge, item)).toEqual({ status: 'again', detail: first.detail });
    expect(await stateOf(session())).toEqual(before);
    expect(before.history?.find(({ thread, seq }) => thread === 'judge/0' && seq === 0)?.outcome).toBe(first.detail);
  });

  it('ends a reservation, and one that it has only just started', async () => {
    const worker = await register(session());
    await startAll(session(), [startItem('reserved', { terms: terms({ pendingMs: 60_000 }) })]);
    const judge = await running(session(), worker, 'judge');
    const effects = [child(0, 'awaited'), child(1, 'started', { awaited: false })];
    const ends = [end(2, 'reserved'), end(3, 'awaited'), end(4, 'started')];
    await step(session(), judge, { opens: 5, effects: [...effects, ...ends] });
    expect(await statesOf(session())).toEqual({
      'awaited/0': 'terminated',
      'judge/0': 'open',
      'reserved/0': 'terminated',
      'started/0': 'terminated',
    });
    expect((await stateOf(session())).inbox).toMatchObject([{ thread: 'judge/0', kind: 'fail', op: 0 }]);
  });

  it('tells the parent of the other, in whatever hands that is', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    const judge = await running(session(), worker, 'judge');
    await step(session(), parent, { opens: 1, effects: [child(0, 'kid')] });
    expect(await park(session(), parent, [0])).toBe('parked');
    await step(session(), judge, { opens: 1, effects: [end(0, 'kid')] });
    expect(await stateOf(session())).toMatchObject({
      inbox: [{ thread: 'parent/0', kind: 'fail', op: 0, payload: '"ended from inside"' }],
    });
    expect(await claim(session(), worker)).toMatchObject([{ workflow_id: 'parent' }]);
  });

  it('does nothing by an entry that is refused', async () => {
    const worker = await register(session());
    const judge = await running(session(), worker, 'judge');
    const fine = await running(session(), worker, 'fine');
    await start(session(), 'other');
    const refused = entry({ ...judge, seq: 4 }, { opens: 1, effects: [end(0, 'other')] });
    expect(await commitAll(session(), worker, [refused, entry(fine)])).toMatchObject([
      { status: 'fenced' },
      { status: 'done' },
    ]);
    expect(await statesOf(session())).toMatchObject({ 'other/0': 'open' });
  });

  it('comes too late for one that ends in the same call', async () => {
    const worker = await register(session());
    const judge = await running(session(), worker, 'judge');
    const other = await running(session(), worker, 'other');
    const [answer] = await commitAll(session(), worker, [
      entry(judge, { opens: 1, effects: [end(0, 'other')] }),
      entry(other, { closing: 'completed', result: '1' }),
    ]);
    expect(answer).toEqual({ status: 'decided', detail: '[[0,"completed"]]' });
    expect(await statesOf(session())).toMatchObject({ 'other/0': 'completed' });
  });

  it('ends the next run of one that continues in the same call', async () => {
    const worker = await register(session());
    const judge = await running(session(), worker, 'judge');
    const other = await running(session(), worker, 'other');
    await commitAll(session(), worker, [
      entry(judge, { opens: 1, effects: [end(0, 'other')] }),
      entry(other, { closing: 'continued', result: '[]' }),
    ]);
    expect(await statesOf(session())).toMatchObject({ 'other/0': 'continued', 'other/1': 'terminated' });
  });
});

onEveryDatabase('a workflow that terminates itself', (session) => {
  it('is told that it has ended, also when it asks again; nobody owns it any more', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread);
    const item = entry(thread, { opens: 2, effects: [end(0, 'a'), task(1)] });
    const answer = await commitOne(session(), thread, item);
    expect(answer).toEqual({ status: 'decided', detail: '[[0,"ended"]]' });
    expect(await commitOne(session(), thread, item)).toEqual({ ...answer, status: 'again' });
    expect(await stateOf(session())).toMatchObject({
      executions: [{ state: 'terminated' }],
      threads: [{ state: 'done', owner: null }],
      history: [{ seq: 0 }, { seq: 1, closes: false }, { seq: 2, closes: true, result: '"ended from inside"' }],
      tasks: [],
    });
  });

  it('from a hook ends the main thread too', async () => {
    const worker = await register(session());
    const main = await running(session(), worker, 'a');
    await step(session(), main);
    const hook = await hookOf(session(), main, 'owned');
    expect(await step(session(), hook, { opens: 1, effects: [end(0, 'a')] })).toEqual([[0, 'ended']]);
    expect(await commitOne(session(), main, entry(main))).toMatchObject({ status: 'fenced' });
    expect((await stateOf(session())).threads).toMatchObject([{ state: 'done' }, { state: 'done' }]);
  });
});

onEveryDatabase('terminating with all descendants', (session) => {
  /** grandparent > parent (awaited) > kid (awaited), parent > started (not awaited); stranger. */
  async function family() {
    const worker = await register(session());
    const grandparent = await running(session(), worker, 'grandparent');
    await step(session(), grandparent, { opens: 1, effects: [child(0, 'parent')] });
    const parent = await claimOnly(session(), worker, 'parent');
    await step(session(), parent, { opens: 2, effects: [child(0, 'kid'), child(1, 'started', { awaited: false })] });
    await start(session(), 'stranger', { parentWorkflowId: 'grandparent' });
    return { worker, grandparent, parent };
  }

  const dead = {
    'grandparent/0': 'terminated',
    'kid/0': 'terminated',
    'parent/0': 'terminated',
    'started/0': 'terminated',
    'stranger/0': 'open',
  };

  it('ends them generation by generation, with the same failure and expiry', async () => {
    await family();
    await terminate(session(), 'grandparent', { failure: '"all of you"', expireS: 77, descend: true });
    expect(await statesOf(session())).toMatchObject({ 'grandparent/0': 'terminated', 'parent/0': 'open' });
    expect(await endGeneration(session())).toBe(true);
    expect(await statesOf(session())).toMatchObject({ 'parent/0': 'terminated', 'kid/0': 'open', 'started/0': 'open' });
    while (await endGeneration(session()));
    expect(await statesOf(session())).toEqual(dead);
    const { history, terminations, inbox } = await stateOf(session());
    expect(history?.filter(({ closes }) => closes).map(({ result }) => result)).toEqual(Array(4).fill('"all of you"'));
    expect([terminations, inbox]).toEqual([[], []]);
    const kept = await session().sql('select expire_s from durable.execution where expire_s = 77');
    expect(kept).toHaveLength(4);
  });

  it('may be asked for by a workflow, of itself', async () => {
    const { grandparent } = await family();
    expect(await step(session(), grandparent, { opens: 1, effects: [end(1, 'grandparent', true)] })).toEqual([
      [1, 'ended'],
    ]);
    while (await endGeneration(session()));
    expect(await statesOf(session())).toEqual(dead);
  });

  it('is gone on with by the housekeeping of any worker, when whoever asked is gone', async () => {
    await family();
    await terminate(session(), 'grandparent', { descend: true });
    expect(await keepHouse(session())).toContain('d');
    expect(await violations(session())).toEqual([]);
    while (await endGeneration(session()));
    expect(await keepHouse(session())).not.toContain('d');
  });

  it('reaches children through runs that were continued, on either side', async () => {
    const { worker, grandparent, parent } = await family();
    await step(session(), parent, { closing: 'continued', result: '[]' });
    await step(session(), grandparent, { closing: 'continued', result: '[]' });
    expect(await claim(session(), worker)).toHaveLength(5);
    await terminate(session(), 'grandparent', { descend: true });
    while (await endGeneration(session()));
    expect(await statesOf(session())).toEqual({
      'grandparent/0': 'continued',
      'grandparent/1': 'terminated',
      'kid/0': 'terminated',
      'parent/0': 'continued',
      'parent/1': 'terminated',
      'started/0': 'terminated',
      'stranger/0': 'open',
    });
  });

  it('passes over children that have ended, but not over theirs that have not', async () => {
    const { parent } = await family();
    await complete(session(), parent);
    await terminate(session(), 'grandparent', { descend: true });
    while (await endGeneration(session()));
    // What an ended child has left running is nobody's child that is terminated.
    expect(await statesOf(session())).toMatchObject({ 'parent/0': 'completed', 'kid/0': 'open', 'started/0': 'open' });
  });

  it('by a repeated request descends once', async () => {
    await family();
    const requestNo = nextNumber();
    await terminate(session(), 'grandparent', { requestNo, descend: true });
    while (await endGeneration(session()));
    expect(await terminate(session(), 'grandparent', { requestNo, descend: true })).toBe('again');
    expect(await endGeneration(session())).toBe(false);
  });

  it('of one that has ended ends nothing', async () => {
    const { grandparent } = await family();
    await complete(session(), grandparent);
    expect(await terminate(session(), 'grandparent', { descend: true })).toBe('completed');
    expect(await endGeneration(session())).toBe(false);
    expect(await statesOf(session())).toMatchObject({ 'parent/0': 'open' });
  });

  it('keeps signals for the namespace that a descendant had received', async () => {
    const { worker } = await family();
    const kid = (await claim(session(), worker)).find(({ workflow_id }) => workflow_id === 'kid')!;
    await step(session(), kid, { opens: 1, effects: [wait(0, 'go')] });
    await signal(session(), 'go', { payload: '1' });
    await terminate(session(), 'grandparent', { descend: true });
    while (await endGeneration(session()));
    expect((await stateOf(session())).signals).toMatchObject([{ signal: 'go', payload: '1' }]);
  });
});

onServer('workflows that terminate each other', (session) => {
  describe('in one call', () => {
    it('both end', async () => {
      const worker = await register(session());
      const [a, b] = [await running(session(), worker, 'a'), await running(session(), worker, 'b')];
      const answers = await commitAll(session(), worker, [
        entry(a, { opens: 1, effects: [end(0, 'b')] }),
        entry(b, { opens: 1, effects: [end(0, 'a')] }),
      ]);
      expect(answers.map(({ status }) => status)).toEqual(['done', 'done']);
      expect(await statesOf(session())).toEqual({ 'a/0': 'terminated', 'b/0': 'terminated' });
    });
  });

  it('are refused at another isolation level like any other commit', async () => {
    const worker = await register(session());
    const a = await running(session(), worker, 'a');
    await session().sql('begin isolation level repeatable read');
    expect(await failureOf(commitOne(session(), a, entry(a, { opens: 1, effects: [end(0, 'a')] })))).toBe('PD001');
    await session().sql('rollback');
  });
});
