/** Requests are remembered for ten to twenty minutes, in two tables that are emptied in turn. */

import { expect, it } from 'vitest';
import {
  keepHouse,
  onEveryDatabase,
  register,
  setClock,
  signal,
  signalAll,
  signalItem,
  waiting,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

onEveryDatabase('a request', (session) => {
  const tables = async () => {
    const [row] = await session().sql<{ slot: number; old: number; new: number }>(
      `select (select slot from ${SCHEMA}.request_slot), (select count(*)::int from ${SCHEMA}.request_0) as old,
        (select count(*)::int from ${SCHEMA}.request_1) as new`,
    );
    return row;
  };

  it('is known by its answer for ten minutes, across the change of tables', async () => {
    const worker = await register(session());
    await waiting(session(), worker, 'a', 'go');
    await waiting(session(), worker, 'b', 'go');
    const item = signalItem('go', { payload: '1' });
    expect(await signalAll(session(), [item])).toEqual(['delivered']);
    await setClock(session(), '11 minutes');
    await keepHouse(session());
    expect(await tables()).toEqual({ slot: 1, old: 1, new: 0 });
    const before = await stateOf(session());
    expect(await signalAll(session(), [item])).toEqual(['delivered']);
    expect(await stateOf(session())).toEqual(before);
    await signal(session(), 'other');
    expect(await tables()).toEqual({ slot: 1, old: 1, new: 1 });
    await setClock(session(), '22 minutes');
    await keepHouse(session());
    expect(await tables()).toEqual({ slot: 0, old: 0, new: 1 });
  });

  it('is forgotten no sooner than ten minutes after it was made', async () => {
    await signal(session(), 'go');
    await setClock(session(), '9 minutes');
    await keepHouse(session());
    expect(await tables()).toEqual({ slot: 0, old: 1, new: 0 });
  });

  it('old and new ones in one call are told apart', async () => {
    const [first, second] = [signalItem('a', { workflowId: 'nowhere' }), signalItem('b')];
    await signalAll(session(), [first]);
    await setClock(session(), '11 minutes');
    await keepHouse(session());
    expect(await signalAll(session(), [second, first])).toEqual(['buffered', 'unknown']);
    expect(await signalAll(session(), [first, second])).toEqual(['unknown', 'buffered']);
    expect(await stateOf(session())).toMatchObject({ signals: [{ signal: 'b' }] });
  });
});
