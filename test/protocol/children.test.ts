import { expect, it } from 'vitest';
import { describeWorkflow } from '../../src/postgres/protocol/executions.js';
import {
  child,
  claim,
  claimOnly,
  commitAll,
  commitOne,
  complete,
  entry,
  hookOf,
  mailOf,
  onEveryDatabase,
  park,
  register,
  running,
  start,
  startAll,
  startItem,
  step,
  type Thread,
  terms,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

onEveryDatabase('a child', (session) => {
  it('is started by the commit of its parent, with what was given', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    const given = {
      config: '{"c":1}',
      expire: 9,
      signalIn: false,
      parentWorkflowId: 'parent',
      originId: 'origin',
      entity: '{"e":1}',
      search: { s: 'x' },
    };
    expect(await step(session(), parent, { opens: 1, effects: [child(0, 'child', given)] })).toEqual([]);
    expect(await describeWorkflow(session(), SCHEMA, 'child', null)).toMatchObject({
      state: 'open',
      cause: 'start',
      args: '[]',
      parent_workflow_id: 'parent',
      origin_id: 'origin',
      entity: '{"e":1}',
      search: '{"s": "x"}',
    });
    expect(await claimOnly(session(), worker, 'child')).toMatchObject({ config: '{"c":1}', expire_s: 9 });
  });

  it.each([
    ['completed', 'done'],
    ['failed', 'fail'],
    ['cancelled', 'fail'],
  ] as const)('that is %s wakes the parent that awaits it, and tells it once', async (closing, kind) => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    await step(session(), parent, { opens: 1, effects: [child(0, 'child')] });
    expect(await park(session(), parent, [0])).toBe('parked');
    const thread = await claimOnly(session(), worker, 'child');
    const item = entry(thread, { closing, result: '{"r":1}' });
    expect(await commitOne(session(), thread, item)).toMatchObject({ status: 'done' });
    expect(session().rows).toContainEqual({
      item: 0,
      status: 'hints',
      detail: `q${parent.service_no},r${thread.run_no}`,
    });
    expect(await commitOne(session(), thread, item)).toMatchObject({ status: 'again' });
    expect(await stateOf(session())).toMatchObject({
      inbox: [{ thread: 'parent/0', kind, op: 0, payload: '{"r":1}' }],
      threads: [
        { thread: 'child/0', state: 'done' },
        { thread: 'parent/0', state: 'ready' },
      ],
    });
  });

  it('tells the owner of a running parent, which cannot park over it', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    await step(session(), parent, { opens: 1, effects: [child(0, 'child')] });
    await complete(session(), await claimOnly(session(), worker, 'child'), '1');
    expect(await mailOf(session(), worker)).toMatchObject([
      { thread_no: parent.thread_no, kind: 'done', op: 0, payload: '1' },
    ]);
    expect(await park(session(), parent, [0])).toBe('mail');
  });

  it('that nobody awaits tells nobody', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    await step(session(), parent, { opens: 1, effects: [child(0, 'child', { awaited: false })] });
    await complete(session(), await claimOnly(session(), worker, 'child'));
    expect(await stateOf(session())).toMatchObject({ inbox: [] });
  });

  it('tells nobody when its parent has ended', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    await step(session(), parent, { opens: 1, effects: [child(0, 'child')] });
    await complete(session(), parent);
    await complete(session(), await claimOnly(session(), worker, 'child'));
    expect(await stateOf(session())).toMatchObject({ inbox: [] });
  });

  it('whose id is taken is not started; the parent learns it from the commit, and again from its repetition', async () => {
    const worker = await register(session());
    await complete(session(), await running(session(), worker, 'finished'));
    await start(session(), 'open');
    await startAll(session(), [startItem('reserved', { terms: terms({ pendingMs: 60_000 }) })]);
    await claim(session(), worker);
    const parent = await running(session(), worker, 'parent');
    const ids = ['finished', 'new', 'open', 'reserved'];
    const item = entry(parent, { opens: 4, effects: ids.map((id, op) => child(op, id)) });
    const answer = await commitOne(session(), parent, item);
    expect(JSON.parse(answer.detail ?? '')).toEqual([
      [0, 'duplicate', 'finished'],
      [2, 'duplicate', 'open'],
      [3, 'duplicate', 'reserved'],
    ]);
    const before = await stateOf(session());
    expect(before.executions?.filter(({ parent: awaiting }) => awaiting !== null).map(({ run }) => run)).toEqual([
      'new/0',
    ]);
    expect(await commitOne(session(), parent, item)).toEqual({ status: 'again', detail: answer.detail });
    expect(await stateOf(session())).toEqual(before);
  });

  it('with an awkward id is named as it is', async () => {
    const worker = await register(session());
    const id = 'a"b\\c\nd{}%s';
    await start(session(), id);
    await claim(session(), worker);
    const parent = await running(session(), worker, 'parent');
    expect(await step(session(), parent, { opens: 1, effects: [child(0, id)] })).toEqual([[0, 'duplicate', id]]);
  });

  it('asked for by two parents of one call is started for one of them', async () => {
    const worker = await register(session());
    for (const id of ['p1', 'p2']) await start(session(), id);
    const parents = await claim(session(), worker);
    const items = parents.map((parent) => entry(parent, { opens: 1, effects: [child(0, 'child')] }));
    const answers = await commitAll(session(), worker, items);
    expect(answers.map(({ status }) => status).sort()).toEqual(['decided', 'done']);
    const { executions } = await stateOf(session());
    const loser = answers.findIndex(({ status }) => status === 'decided');
    expect(executions?.find(({ run }) => run === 'child/0')?.parent).toBe(`${parents[1 - loser]?.workflow_id}/0`);
  });

  it('and its parent may end in one call', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    await step(session(), parent, { opens: 1, effects: [child(0, 'child')] });
    const thread = await claimOnly(session(), worker, 'child');
    const items = [thread, parent].map((each) => entry(each, { closing: 'completed', result: '1' }));
    await commitAll(session(), worker, items);
    expect(await stateOf(session())).toMatchObject({ inbox: [], threads: [{ state: 'done' }, { state: 'done' }] });
  });

  it('of a hook tells the hook', async () => {
    const worker = await register(session());
    const main = await running(session(), worker, 'a');
    const hook: Thread = await hookOf(session(), main, 'owned');
    await step(session(), hook, { opens: 1, effects: [child(0, 'child')] });
    await complete(session(), await claimOnly(session(), worker, 'child'), '1');
    expect(await stateOf(session())).toMatchObject({ inbox: [{ thread: 'a/0#2', kind: 'done', op: 0 }] });
  });
});
