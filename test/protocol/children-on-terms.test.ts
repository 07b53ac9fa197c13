/** Children whose id may be taken, and what becomes of them when their parent has ended. */

import { describe, expect, it } from 'vitest';
import type { StoredTerms } from '../../src/core/start-terms.js';
import {
  child,
  childOn,
  claim,
  claimOnly,
  commitAll,
  commitOne,
  complete,
  end,
  endDue,
  endGeneration,
  entry,
  keepHouse,
  onEveryDatabase,
  openHook,
  register,
  running,
  setClock,
  start,
  startAll,
  startItem,
  step,
  type Thread,
  terminate,
  terms,
} from '../support/protocol.js';
import type { Session } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

const statesOf = async (session: Session) =>
  Object.fromEntries((await stateOf(session)).executions!.map(({ run, state }) => [run, state]));

onEveryDatabase('a child whose id', (session) => {
  const parentOf = async () => await running(session(), await register(session()), 'parent');

  it.each([
    ['ended, may not be used again', {}, [[0, 'duplicate', 'kid']], { 'kid/0': 'completed' }],
    ['ended, may be used again', { reuse: 'ALLOW_DUPLICATE' }, [], { 'kid/1': 'open' }],
    ['completed, when only failed ones may', { reuse: 'ALLOW_DUPLICATE_FAILED_ONLY' }, [[0, 'duplicate', 'kid']], {}],
  ] as [string, StoredTerms, unknown[], object][])('%s', async (_, given, decided, states) => {
    const parent = await parentOf();
    await complete(session(), await running(session(), parent.worker, 'kid'));
    expect(await step(session(), parent, { opens: 1, effects: [childOn(0, 'kid', given)] })).toEqual(decided);
    expect(await statesOf(session())).toMatchObject(states);
  });

  it('runs, is used, unless it is to be awaited', async () => {
    const parent = await parentOf();
    await start(session(), 'kid');
    const effects = [
      childOn(0, 'kid', { conflict: 'USE_EXISTING' }, { awaited: false }),
      childOn(1, 'kid', { conflict: 'USE_EXISTING' }),
    ];
    expect(await step(session(), parent, { opens: 2, effects })).toEqual([[1, 'duplicate', 'kid']]);
    expect(await statesOf(session())).toEqual({ 'kid/0': 'open', 'parent/0': 'open' });
  });

  it('runs, makes room: the new one is awaited, and the call again changes nothing', async () => {
    const parent = await parentOf();
    const old = await running(session(), parent.worker, 'kid');
    const item = entry(parent, { opens: 1, effects: [childOn(0, 'kid', { conflict: 'TERMINATE_EXISTING' })] });
    expect(await commitOne(session(), parent, item)).toEqual({ status: 'done', detail: null });
    expect(await statesOf(session())).toMatchObject({ 'kid/0': 'terminated', 'kid/1': 'open' });
    const before = await stateOf(session());
    expect(await commitOne(session(), parent, item)).toMatchObject({ status: 'again' });
    expect(await stateOf(session())).toEqual(before);
    expect(await commitOne(session(), old, entry(old))).toMatchObject({ status: 'fenced' });
    await complete(session(), await claimOnly(session(), parent.worker, 'kid'), '"new"');
    expect((await stateOf(session())).inbox).toMatchObject([{ thread: 'parent/0', kind: 'done', payload: '"new"' }]);
  });

  it('is its parent’s own, or that of a child begun in the same entry', async () => {
    const parent = await parentOf();
    const replaces: StoredTerms = { conflict: 'TERMINATE_EXISTING' };
    const effects = [childOn(0, 'parent', replaces), childOn(1, 'kid', replaces), childOn(2, 'kid', replaces)];
    const decided = await step(session(), parent, { opens: 3, effects });
    expect(decided).toEqual([[0, 'duplicate', 'parent']]);
    expect(await statesOf(session())).toEqual({ 'kid/0': 'terminated', 'kid/1': 'open', 'parent/0': 'open' });
    expect((await stateOf(session())).inbox).toMatchObject([{ kind: 'fail', op: 1 }]);
  });

  it('ends by itself in the same call', async () => {
    const parent = await parentOf();
    const old = await running(session(), parent.worker, 'kid');
    await commitAll(session(), parent.worker, [
      entry(parent, { opens: 1, effects: [childOn(0, 'kid', { conflict: 'TERMINATE_EXISTING' })] }),
      entry(old, { closing: 'completed', result: '1' }),
    ]);
    expect(await statesOf(session())).toMatchObject({ 'kid/0': 'completed', 'kid/1': 'open' });
  });

  it('is reserved, fills the reservation', async () => {
    const parent = await parentOf();
    await startAll(session(), [startItem('kid', { terms: terms({ pendingMs: 60_000 }), search: '{"a":1}' })]);
    await step(session(), parent, {
      opens: 1,
      effects: [childOn(0, 'kid', { runTimeoutMs: 1_000 }, { search: { b: '2' } })],
    });
    expect((await stateOf(session())).documents).toEqual([{ run: 'kid/0', search: { a: 1, b: '2' }, entity: null }]);
    await complete(session(), await claimOnly(session(), parent.worker, 'kid'), '7');
    expect((await stateOf(session())).inbox).toMatchObject([{ thread: 'parent/0', kind: 'done', op: 0, payload: '7' }]);
  });

  it('decides beside other outcomes of the entry', async () => {
    const parent = await parentOf();
    await start(session(), 'kid');
    const effects = [
      child(0, 'kid', { awaited: false }),
      childOn(1, 'kid', { delayMs: 1 }, { awaited: false }),
      end(2, 'nobody'),
      childOn(3, 'late', { delayMs: 60_000 }, { awaited: false }),
    ];
    expect(await step(session(), parent, { opens: 4, effects })).toEqual([
      [0, 'duplicate', 'kid'],
      [1, 'duplicate', 'kid'],
      [2, 'unknown'],
    ]);
    expect((await claim(session(), parent.worker)).map(({ workflow_id }) => workflow_id)).toEqual(['kid']);
  });
});

onEveryDatabase('when a parent has ended, its children', (session) => {
  /** One child of each policy; `dependent` has one of its own. */
  async function family(given: StoredTerms = {}) {
    const worker = await register(session());
    await startAll(session(), [startItem('parent', { terms: terms({ delayMs: 0, ...given }) })]);
    const parent = await claimOnly(session(), worker, 'parent');
    const effects = [
      childOn(0, 'dependent', { onParentClose: 'terminate' }, { awaited: false }),
      childOn(1, 'asked', { onParentClose: 'cancel' }),
      child(2, 'abandoned', { awaited: false }),
    ];
    await step(session(), parent, { opens: 3, effects });
    const [, , dependent] = await claim(session(), worker);
    await step(session(), dependent!, {
      opens: 1,
      effects: [childOn(0, 'grandchild', { onParentClose: 'terminate' }), ...openHook(1)],
    });
    return { worker, parent };
  }

  const CHILDREN = {
    'abandoned/0': 'open',
    'asked/0': 'open',
    'dependent/0': 'terminated',
    'grandchild/0': 'terminated',
  };

  const ends: Record<string, (parent: Thread) => Promise<unknown>> = {
    completed: (parent) => complete(session(), parent),
    failed: (parent) => step(session(), parent, { closing: 'failed', result: '{}' }),
    cancelled: (parent) => step(session(), parent, { closing: 'cancelled', result: '{}' }),
    terminated: () => terminate(session(), 'parent'),
    'terminated by itself': (parent) => step(session(), parent, { opens: 1, effects: [end(3, 'parent')] }),
    'timed out': async () => {
      await setClock(session(), '61 seconds');
      await endDue(session());
    },
    replaced: () => startAll(session(), [startItem('parent', { terms: terms({ conflict: 'TERMINATE_EXISTING' }) })]),
  };

  it.each(Object.entries(ends))('(%s) end, are asked to cancel, or go on, as they asked for', async (_, ended) => {
    const { parent } = await family({ runTimeoutMs: 60_000 });
    await ended(parent);
    // whoever ended it may be gone: any worker's housekeeping finds the note
    expect(await keepHouse(session())).toContain('d');
    while (await endGeneration(session()));
    expect(await statesOf(session())).toMatchObject(CHILDREN);
    const { terminations, executions, inbox } = await stateOf(session());
    expect(terminations).toEqual([]);
    expect(executions?.filter(({ cancel }) => cancel).map(({ run }) => run)).toEqual(['asked/0']);
    expect(inbox?.filter(({ kind }) => kind === 'cancel')).toMatchObject([{ thread: 'asked/0' }]);
    expect(await keepHouse(session())).not.toContain('d');
  });

  it('go on while it continues as new, and end with the last run', async () => {
    const { worker, parent } = await family();
    await step(session(), parent, { closing: 'continued', result: '[]' });
    expect(await endGeneration(session())).toBe(false);
    const next = (await claim(session(), worker)).find(({ workflow_id }) => workflow_id === 'parent')!;
    expect(await statesOf(session())).toMatchObject({ 'dependent/0': 'open' });
    await complete(session(), next);
    while (await endGeneration(session()));
    expect(await statesOf(session())).toMatchObject(CHILDREN);
  });

  it('end when they were continued themselves, and are asked once', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    await step(session(), parent, { opens: 1, effects: [childOn(0, 'asked', { onParentClose: 'cancel' })] });
    await step(session(), await claimOnly(session(), worker, 'asked'), { closing: 'continued', result: '[]' });
    await complete(session(), parent);
    while (await endGeneration(session()));
    expect((await stateOf(session())).executions).toMatchObject([
      {},
      { run: 'asked/1', cancel: true, closes: null },
      {},
    ]);
  });

  it('end too when they began in its very last entry, in whichever way', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent');
    await start(session(), 'old');
    await step(session(), parent, {
      opens: 2,
      closing: 'completed',
      result: '1',
      effects: [
        childOn(0, 'dependent', { onParentClose: 'terminate' }, { awaited: false }),
        childOn(1, 'old', { onParentClose: 'terminate', conflict: 'TERMINATE_EXISTING' }, { awaited: false }),
      ],
    });
    while (await endGeneration(session()));
    expect(await statesOf(session())).toMatchObject({ 'dependent/0': 'terminated', 'old/1': 'terminated' });
  });

  describe('all of them', () => {
    it('end when it is terminated with its descendants', async () => {
      await family();
      await terminate(session(), 'parent', { descend: true });
      while (await endGeneration(session()));
      expect(new Set(Object.values(await statesOf(session())))).toEqual(new Set(['terminated']));
    });
  });
});
