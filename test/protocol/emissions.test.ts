/** Events that workflows emit: positions, who reads what, how long they are kept. */

import { describe, expect, it } from 'vitest';
import { type EmissionQuery, fetchEmissions } from '../../src/postgres/protocol/emissions.js';
import {
  claim,
  claimOnly,
  commitAll,
  commitOne,
  complete,
  emit,
  entry,
  keepHouse,
  onEveryDatabase,
  register,
  running,
  setClock,
  start,
  step,
} from '../support/protocol.js';
import { SCHEMA, type Session } from '../support/protocol-session.js';

const ALL: EmissionQuery = { after: 0, workflowId: null, topic: null, pattern: null };

const read = async (session: Session, query: Partial<EmissionQuery> = {}) => {
  const { pages, last } = await fetchEmissions(session, SCHEMA, [{ ...ALL, ...query }]);
  const [page] = pages;
  return { rows: page?.rows ?? [], upTo: page?.upTo, last };
};
const topics = async (session: Session, query: Partial<EmissionQuery> = {}) =>
  (await read(session, query)).rows.map(({ topic }) => topic);

onEveryDatabase('emitted events', (session) => {
  it('stand one behind the other, with all there is to know', async () => {
    const thread = await running(session(), await register(session()), 'a');
    await step(session(), thread, { effects: [emit('one', '{"n":1}'), emit('two')] });
    await step(session(), thread, { effects: [emit('three', '"\\u0000"')] });
    const { rows, last } = await read(session());
    expect(rows).toMatchObject([
      { emission_no: 1, topic: 'one', payload: '{"n":1}', workflow_id: 'a', run: 0 },
      { emission_no: 2, topic: 'two', payload: null },
      { emission_no: 3, topic: 'three', payload: '"\\u0000"' },
    ]);
    expect(last).toBe(3);
    expect(Math.abs((rows[0]?.emitted_ms ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  it('are told to whoever listens', async () => {
    const thread = await running(session(), await register(session()), 'a');
    await commitOne(session(), thread, entry(thread, { effects: [emit('one')] }));
    expect(session().rows).toContainEqual({ item: 0, status: 'hints', detail: 'm' });
  });

  it('of a refused commit are not there, and those of a repeated one not twice', async () => {
    const worker = await register(session());
    for (const id of ['a', 'b']) await start(session(), id);
    const [a, b] = await claim(session(), worker);
    const [sound, refused] = [entry(a!, { effects: [emit('sound')] }), entry(b!, { effects: [emit('refused')] })];
    const fenced = { ...refused, epoch: refused.epoch + 1 };
    const statuses = async () => (await commitAll(session(), worker, [fenced, sound])).map(({ status }) => status);
    expect(await statuses()).toEqual(['fenced', 'done']);
    expect(await statuses()).toEqual(['fenced', 'again']);
    expect(await topics(session())).toEqual(['sound']);
    expect((await read(session())).last).toBe(1);
  });

  it('come with the end of a run, and go on with the next', async () => {
    const worker = await register(session());
    const first = await running(session(), worker, 'a');
    await step(session(), first, { closing: 'continued', result: '[]', effects: [emit('last of the first')] });
    const second = await claimOnly(session(), worker, 'a');
    await step(session(), second, { closing: 'completed', effects: [emit('last of the second')] });
    const { rows } = await read(session(), { workflowId: 'a' });
    expect(rows.map(({ topic, run }) => [topic, run])).toEqual([
      ['last of the first', 0],
      ['last of the second', 1],
    ]);
  });

  it('are read by workflow, by topic, by pattern, and behind a position', async () => {
    const worker = await register(session());
    for (const id of ['a', 'b']) await start(session(), id);
    const [a, b] = await claim(session(), worker);
    await step(session(), a!, { effects: [emit('order.paid'), emit('order.sent')] });
    await step(session(), b!, { effects: [emit('order.paid'), emit('note_1')] });
    expect(await topics(session(), { workflowId: 'a' })).toEqual(['order.paid', 'order.sent']);
    expect(await topics(session(), { workflowId: 'b', topic: 'note_1' })).toEqual(['note_1']);
    expect(await topics(session(), { workflowId: 'b', pattern: 'order.%' })).toEqual(['order.paid']);
    expect(await topics(session(), { workflowId: 'nobody' })).toEqual([]);
    expect((await read(session(), { topic: 'order.paid' })).rows.map((row) => row.workflow_id)).toEqual(['a', 'b']);
    expect(await topics(session(), { pattern: '%e.paid' })).toEqual([]);
    expect(await topics(session(), { pattern: 'note\\_%' })).toEqual(['note_1']);
    expect(await topics(session(), { after: 2 })).toEqual(['order.paid', 'note_1']);
    expect(await topics(session(), { after: 2, workflowId: 'a' })).toEqual([]);
  });

  it('say how far each reader has come, whether something was for it or not', async () => {
    const thread = await running(session(), await register(session()), 'a');
    await step(session(), thread, { effects: [emit('one'), emit('two')] });
    const queries = [{ ...ALL, topic: 'two' }, { ...ALL, topic: 'other' }, { ...ALL, after: 2 }, ALL];
    const { pages, last } = await fetchEmissions(session(), SCHEMA, queries);
    expect(last).toBe(2);
    expect(pages.map(({ rows, upTo }) => [rows.map(({ emission_no }) => emission_no), upTo])).toEqual([
      [[2], 2],
      [[], 2],
      [[], 2],
      [[1, 2], 2],
    ]);
  });

  it('are read page by page, without a gap and with nothing twice', async () => {
    const thread = await running(session(), await register(session()), 'a');
    const effects = Array.from({ length: 2_500 }, (_, n) => emit(n % 2 === 0 ? 'even' : 'odd', `${n}`));
    await step(session(), thread, { effects });
    const pages: number[] = [];
    const seen: string[] = [];
    for (let after = 0; after < 2_500; ) {
      const { rows, upTo } = await read(session(), { after, pattern: 'even' });
      pages.push(rows.length);
      seen.push(...rows.map(({ payload }) => payload ?? ''));
      expect(upTo).toBeGreaterThan(after);
      after = upTo ?? 0;
    }
    expect(pages).toEqual([500, 500, 250]);
    expect(seen).toEqual(effects.filter(({ key }) => key === 'even').map(({ value }) => value));
  });

  it('that are large come in portions', async () => {
    const thread = await running(session(), await register(session()), 'a');
    const payload = JSON.stringify('x'.repeat(3_000_000));
    for (let n = 0; n < 4; n++) await step(session(), thread, { effects: [emit('large', payload)] });
    const first = await read(session());
    expect([first.rows.length, first.upTo, first.last]).toEqual([3, 3, 4]);
    expect((await read(session(), { after: 3 })).rows).toHaveLength(1);
  });

  describe('are kept', () => {
    /** How many are left of each, after so long. */
    async function left(ahead: string): Promise<string[]> {
      await setClock(session(), ahead);
      await keepHouse(session());
      return await topics(session());
    }

    it('as long as the run is readable, but ten minutes at least', async () => {
      const worker = await register(session(), 'worker', { leaseMs: 2e9 });
      for (const [id, expireS] of [
        ['1 s', 1],
        ['1 h', 3_600],
        ['usual', null],
        ['for ever', 0],
      ] as const) {
        await step(session(), await running(session(), worker, id, { expireS }), { effects: [emit(id)] });
      }
      expect(await left('9 minutes')).toEqual(['1 s', '1 h', 'usual', 'for ever']);
      expect(await left('11 minutes')).toEqual(['1 h', 'usual', 'for ever']);
      expect(await left('6 days')).toEqual(['usual', 'for ever']);
      expect(await left('8 days')).toEqual(['for ever']);
    });

    it('no longer, however many there are: the house is kept again at once', async () => {
      const thread = await running(session(), await register(session()), 'a', { expireS: 1 });
      await step(session(), thread, { effects: Array.from({ length: 5_001 }, () => emit('one')) });
      await complete(session(), thread);
      await setClock(session(), '11 minutes');
      expect(await keepHouse(session())).toBe('t');
      expect(await topics(session())).toHaveLength(1);
      expect(await keepHouse(session())).toBe('');
      expect(await read(session())).toMatchObject({ rows: [], last: 5_001 });
    });
  });
});
