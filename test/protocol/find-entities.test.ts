/** Workflows found by their entity documents. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { EntityCondition, EntityQuery } from '../../src/core/document-engine.js';
import { createEntityIndex, fetchSearchFields, findEntities } from '../../src/postgres/protocol/documents.js';
import {
  claimOnly,
  complete,
  entity,
  onEveryDatabase,
  register,
  running,
  search,
  start,
  step,
} from '../support/protocol.js';
import { SCHEMA, type Session } from '../support/protocol-session.js';

const find = async (session: Session, conditions: readonly EntityCondition[], given: Partial<EntityQuery> = {}) => {
  const query = { entity: 'order', workflowId: null, conditions, limit: null, offset: 0, ...given };
  return (await findEntities(session, SCHEMA, query)).map(({ workflow_id }) => workflow_id);
};

const is = (field: string, op: EntityCondition['op'], value: unknown): EntityCondition => ({ field, op, value });

/** Workflows with these documents, named 0, 1, ... */
async function stored(session: Session, documents: readonly unknown[]): Promise<void> {
  const worker = await register(session);
  for (const [index, document] of documents.entries()) {
    const thread = await running(session, worker, `${index}`, { entity: 'order' });
    if (document !== undefined) await step(session, thread, { opens: 1, effects: [entity(0, 'set', [document])] });
  }
}

/** What a field may hold, and what it may be compared with. */
const VALUES = [
  5,
  '5',
  '05',
  5.5,
  '10',
  9,
  'abc',
  'abd',
  '',
  'ä',
  true,
  'true',
  null,
  ['5'],
  [5],
  { a: 5 },
  1e21,
  -0.1,
];

onEveryDatabase('workflows', (session) => {
  it('are found by a value as by its text, by size among numbers, by code points among text', async () => {
    await stored(session(), [...VALUES.map((v) => ({ v })), {}, undefined]);
    const [absent, none] = [`${VALUES.length}`, `${VALUES.length + 1}`];
    const values = (ids: readonly string[]) => ids.map((id) => VALUES[Number(id)]).reverse();
    const found = async (op: EntityCondition['op'], value: unknown) =>
      values(await find(session(), [is('v', op, value)]));

    expect(await found('eq', 5)).toEqual([5, '5']);
    expect(await found('eq', '5')).toEqual([5, '5']);
    expect(await found('eq', true)).toEqual([true, 'true']);
    expect(await found('eq', 'true')).toEqual([true, 'true']);
    expect(await found('eq', '05')).toEqual(['05']);
    expect(await found('eq', 1e21)).toEqual([1e21]);
    expect(await found('eq', '')).toEqual(['']);
    expect(await find(session(), [is('v', 'eq', null)])).toEqual([none, absent, `${VALUES.indexOf(null)}`]);
    expect(await found('ne', '5')).toEqual(VALUES.filter((v) => v !== 5 && v !== '5' && v !== null));
    expect(await found('ne', null)).toEqual(VALUES.filter((v) => v !== null));
    expect(await found('gt', 5)).toEqual([5.5, '10', 9, 1e21]);
    expect(await found('gte', 5)).toEqual([5, '5', '05', 5.5, '10', 9, 1e21]);
    expect(await found('lt', 0)).toEqual([-0.1]);
    expect(await found('lte', 'abc')).toEqual(['5', '05', '10', 'abc', '']);
    expect(await found('gt', 'abc')).toEqual(['abd', 'ä', 'true']);
    expect(await found('like', '%b_')).toEqual(['abc', 'abd']);
    expect(await found('like', '5%')).toEqual([5, '5', 5.5]);
    expect(await found('in', ['5', 'ä', 9])).toEqual([5, '5', 9, 'ä']);
    expect(await found('in', [])).toEqual([]);
    expect(await find(session(), [is('v', 'in', [null, 'ä'])])).toEqual([
      none,
      absent,
      `${VALUES.indexOf(null)}`,
      `${VALUES.indexOf('ä')}`,
    ]);
  });

  it('are found by all conditions together, each by its newest run, newest first', async () => {
    await stored(session(), [
      { a: 1, b: 1 },
      { a: 1, b: 2 },
      { a: 2, b: 2 },
    ]);
    const thread = await running(session(), await register(session()), 'chain', { entity: 'order' });
    await start(session(), 'other', { entity: 'another' });
    await step(session(), thread, {
      opens: 1,
      effects: [entity(0, 'set', [{ a: 1 }])],
      closing: 'continued',
      result: '[]',
    });
    expect(await find(session(), [is('a', 'eq', 1)])).toEqual(['chain', '1', '0']);
    expect(await find(session(), [is('a', 'eq', 1), is('b', 'gt', 1)])).toEqual(['1']);
    expect(await find(session(), [], { limit: 2, offset: 1 })).toEqual(['2', '1']);
    expect(await find(session(), [], { workflowId: '1' })).toEqual(['1']);
    expect(await find(session(), [], { entity: 'nothing' })).toEqual([]);
    const rows = await findEntities(session(), SCHEMA, {
      entity: 'order',
      workflowId: 'chain',
      conditions: [],
      limit: null,
      offset: 0,
    });
    expect(rows).toEqual([{ workflow_id: 'chain', state: 'open', context: '{"a": 1}' }]);
  });

  it('are looked up by the index of a field, which is made once', async () => {
    // Versions of rows from before, while somebody's snapshot sees them, would keep this transaction from using its index.
    await session().sql(`truncate ${SCHEMA}.execution, ${SCHEMA}.document`);
    await session().sql('begin'); // leaves nothing: executions without threads, and indexes
    await session().sql(`insert into ${SCHEMA}.execution (run_no, chain_no, request_no, run, service_no, created_at, signal_in,
        cancel_requested, workflow_id, state, cause, args, entity)
      select n, n, n, 0, 0, now(), true, false, n, 'open', 'start', '[]', 'order' from generate_series(1, 20000) n`);
    await session().sql(`insert into ${SCHEMA}.document (run_no, entity)
      select n, jsonb_build_object('state', case n when 4711 then 'rare' else 'open' end, 'other', n) from generate_series(1, 20000) n`);
    // Behind the rows: what was inserted into an index of this kind a moment ago is looked through, which may cost more than it saves.
    for (const field of ['state', 'it\'s "quoted"; drop table', 'state', 'x'.repeat(512)])
      await createEntityIndex(session(), SCHEMA, field);
    const indexes = await session().sql<{ name: string }>(
      `select indexname as name from pg_indexes where schemaname = '${SCHEMA}' and indexname like 'document_entity_%'`,
    );
    expect(indexes).toHaveLength(3);
    await session().sql(`analyze ${SCHEMA}.execution, ${SCHEMA}.document`);
    const looks = async () => {
      const [row] = await session().sql<{ n: number }>(
        `select sum(pg_stat_get_xact_numscans(indexrelid))::int as n from pg_index
         where indrelid = '${SCHEMA}.document'::regclass and indexrelid::regclass::text like '%document_entity_%'`,
      );
      return row?.n;
    };
    expect(await find(session(), [is('other', 'eq', 42)])).toEqual(['42']);
    expect(await looks()).toBe(0);
    expect(await find(session(), [is('state', 'eq', 'rare'), is('other', 'gt', 5)])).toEqual(['4711']);
    expect(await looks()).toBeGreaterThan(0);
    await session().sql('rollback');
  });

  it('no field and no value becomes part of the statement', async () => {
    await stored(session(), [{ a: 1 }]);
    const hostile = fc.oneof(
      fc.constantFrom(
        "'",
        "''",
        '"',
        '\\',
        '%s',
        '%1$s',
        '$1',
        '$3[1]',
        '--',
        '/*',
        "') or true --",
        "a' = 'a",
        '{',
        '}',
        ',',
      ),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }),
    );
    const text = fc.array(hostile, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(' ').replaceAll('\0', ''));
    const op = fc.constantFrom(...(['eq', 'gt', 'gte', 'lt', 'lte', 'in'] as const));
    await fc.assert(
      fc.asyncProperty(text, op, text, async (field, operator, value) => {
        const conditions = [is(field, operator, operator === 'in' ? [value] : value)];
        expect(await find(session(), conditions)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it('are read by their search fields', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a', { search: '{"x":"1"}' });
    await step(session(), thread, {
      opens: 1,
      effects: [search(0, 'incr', ['x', 1])],
      closing: 'continued',
      result: '[]',
    });
    expect(await fetchSearchFields(session(), SCHEMA, 'a', null)).toEqual({ x: '2' });
    await complete(session(), await claimOnly(session(), worker, 'a'));
    expect(await fetchSearchFields(session(), SCHEMA, 'a', null)).toEqual({ x: '2' });
    await start(session(), 'b');
    expect(await fetchSearchFields(session(), SCHEMA, 'b', null)).toEqual({});
    expect(await fetchSearchFields(session(), SCHEMA, 'c', null)).toBeNull();
  });
});
