/** Two commits that emit at the same time. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fetchEmissions } from '../../src/postgres/protocol/emissions.js';
import { outcomeOf, PausableDatabase } from '../support/pause.js';
import { claim, commitOne, emit, entry, register, start, violations } from '../support/protocol.js';
import { SCHEMA, type Session } from '../support/protocol-session.js';

const read = async (session: Session) => {
  const { pages, last } = await fetchEmissions(session, SCHEMA, [
    { after: 0, workflowId: null, topic: null, pattern: null },
  ]);
  return { topics: pages[0]?.rows.map(({ topic }) => topic) ?? [], last };
};

describe('emitted events of two commits at once', () => {
  let database: PausableDatabase;
  beforeAll(async () => {
    database = await PausableDatabase.open();
  });
  afterAll(() => database.close());
  beforeEach(() => database.reset());

  it('become visible in the order of their positions: nobody reads past one that is still to come', async () => {
    const { control } = database;
    const [one, other] = [await database.session(), await database.session()];
    const worker = await register(control);
    for (const id of ['a', 'b']) await start(control, id);
    const [a, b] = await claim(control, worker);
    const [first, second] = [entry(a!, { effects: [emit('first')] }), entry(b!, { effects: [emit('second')] })];
    const slow = await database.park(one, 'keep_emissions.numbered', () => commitOne(one, a!, first));
    expect(slow.reached).toBe(true);
    const quick = outcomeOf(commitOne(other, b!, second));
    expect(await database.untilStopped(other, quick), 'it waits for its position').toBe(true);
    expect(await read(control)).toEqual({ topics: [], last: 0 });
    await slow.release();
    await quick;
    expect(await read(control)).toEqual({ topics: ['first', 'second'], last: 2 });
    expect(await violations(control)).toEqual([]);
  });

  it('hold up nobody who emits nothing', async () => {
    const { control } = database;
    const [one, other] = [await database.session(), await database.session()];
    const worker = await register(control);
    for (const id of ['a', 'b']) await start(control, id);
    const [a, b] = await claim(control, worker);
    const slow = await database.park(one, 'keep_emissions.numbered', () =>
      commitOne(one, a!, entry(a!, { effects: [emit('first')] })),
    );
    expect(await commitOne(other, b!, entry(b!))).toMatchObject({ status: 'done' });
    await slow.release();
  });

  it('wait their turn longer than for a row that somebody holds', async () => {
    const { control } = database;
    const [one, other] = [await database.session(), await database.session()];
    other.patient = false;
    const worker = await register(control);
    for (const id of ['a', 'b']) await start(control, id);
    const [a, b] = await claim(control, worker);
    const slow = await database.park(one, 'keep_emissions.numbered', () =>
      commitOne(one, a!, entry(a!, { effects: [emit('first')] })),
    );
    const late = outcomeOf(commitOne(other, b!, entry(b!, { effects: [emit('second')] })));
    expect(await database.untilStopped(other, late)).toBe(true);
    await control.sql('select pg_sleep(0.3)'); // three times what a row is waited for
    expect(await database.isWaiting(other)).toBe(true);
    await slow.release();
    expect(await late).toEqual({ answer: { status: 'done', detail: null } });
  });
});
