/** Executions selected by a filter, as SQL answers it: the conditions, the pages, and what cannot become part of a statement. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type ExecutionFilter, resolveFilter } from '../../src/core/execution-filter.js';
import { isIdentifier } from '../../src/core/identifier.js';
import {
  countExecutions,
  createSearchIndex,
  type ListedExecution,
  listExecutions,
} from '../../src/postgres/protocol/visibility.js';
import {
  block,
  child,
  complete,
  entity,
  onEveryDatabase,
  register,
  running,
  setClock,
  start,
  step,
  terminate,
  terms,
} from '../support/protocol.js';
import { failureOf, SCHEMA, type Session } from '../support/protocol-session.js';

const list = (session: Session, filter: ExecutionFilter, { after = null as number | null, limit = 100 } = {}) =>
  listExecutions(session, SCHEMA, resolveFilter('list', filter), { after, limit });

const ids = (rows: readonly ListedExecution[]) => rows.map(({ workflow_id }) => workflow_id);

/** The ids that a filter selects, sorted; counted, too. */
async function found(session: Session, filter: ExecutionFilter): Promise<string[]> {
  const rows = await list(session, filter);
  expect(await countExecutions(session, SCHEMA, resolveFilter('count', filter))).toBe(rows.length);
  return ids(rows).sort();
}

onEveryDatabase('executions', (session) => {
  it('are found by how they stand; a run that another goes on from only when asked for', async () => {
    const worker = await register(session());
    await complete(session(), await running(session(), worker, 'done'));
    await step(session(), await running(session(), worker, 'failed'), { closing: 'failed', result: '{}' });
    await step(session(), await running(session(), worker, 'chain'), { closing: 'continued', result: '[]' });
    await start(session(), 'ended');
    await terminate(session(), 'ended');
    await start(session(), 'reserved', { terms: terms({ pendingMs: 60_000 }) });

    expect(await found(session(), {})).toEqual(['chain', 'done', 'ended', 'failed', 'reserved']);
    expect(await found(session(), { status: 'open' })).toEqual(['chain']);
    expect(await found(session(), { status: ['completed', 'failed'] })).toEqual(['done', 'failed']);
    expect(await found(session(), { status: 'terminated' })).toEqual(['ended']);
    expect(await found(session(), { status: 'pending' })).toEqual(['reserved']);
    expect(await found(session(), { status: 'cancelled' })).toEqual([]);
    const runs = await list(session(), { status: ['continued', 'open'] });
    expect(runs.map(({ run, state, cause }) => [run, state, cause])).toEqual([
      [1, 'open', 'continued'],
      [0, 'continued', 'start'],
    ]);
  });

  it('are found by id, the beginning of it, function, queue, label and parent', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'order-1', { entity: 'order' });
    await step(session(), parent, { opens: 1, effects: [child(0, 'child', { parentWorkflowId: 'order-1' })] });
    await start(session(), 'order-2', { workflowName: 'other' });
    await start(session(), 'Order-3', { taskQueue: 'elsewhere' });
    await start(session(), "%_'", { parentWorkflowId: 'order-1' });

    expect(await found(session(), { workflowId: 'order-1' })).toEqual(['order-1']);
    expect(await found(session(), { workflowId: { prefix: 'order' } })).toEqual(['order-1', 'order-2']);
    expect(await found(session(), { workflowId: { prefix: '%' } })).toEqual(["%_'"]);
    expect(await found(session(), { workflowName: 'other' })).toEqual(['order-2']);
    expect(await found(session(), { workflowName: 'nobody' })).toEqual([]);
    expect(await found(session(), { taskQueue: 'elsewhere' })).toEqual(['Order-3']);
    expect(await found(session(), { taskQueue: 'elsewhere', workflowName: 'other' })).toEqual([]);
    expect(await found(session(), { entity: 'order' })).toEqual(['order-1']);
    expect(await found(session(), { parentWorkflowId: 'order-1' })).toEqual(["%_'", 'child']);
    expect(await found(session(), { parentWorkflowId: 'child' })).toEqual([]);
  });

  it('are found by when they were started and ended, from a moment on and before another', async () => {
    const worker = await register(session());
    for (const minute of [0, 1, 2]) {
      await setClock(session(), `${minute} minutes`);
      await complete(session(), await running(session(), worker, `${minute}`));
    }
    await start(session(), 'open');
    const rows = (await list(session(), { status: 'completed' })).reverse();
    const [first, second, third] = rows.map(({ started_ms }) => started_ms) as [number, number, number];
    // what a client was told selects the same again: milliseconds are what both sides keep of a time
    const around = (ms: number) => Math.floor(ms);
    expect(await found(session(), { started: { from: around(second) } })).toEqual(['1', '2', 'open']);
    expect(await found(session(), { started: { to: around(second) } })).toEqual(['0']);
    expect(
      await found(session(), { started: { from: new Date(around(first)), to: new Date(around(third)).toISOString() } }),
    ).toEqual(['0', '1']);
    const closed = rows.map(({ closed_ms }) => closed_ms) as [number, number, number];
    expect(await found(session(), { closed: { from: around(closed[1]) } })).toEqual(['1', '2']);
    expect(await found(session(), { closed: { to: around(closed[1]) } })).toEqual(['0']);
  });

  it('are found by search fields and by what stands in the entity document', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'e', { entity: 'order' });
    await step(session(), thread, { opens: 1, effects: [entity(0, 'set', [{ total: 9, state: 'new' }])] });
    await start(session(), 'a', { search: '{"total":"9","state":"new","_x":"1"}' });
    await start(session(), 'b', { search: '{"total":"10","state":"paid"}' });
    await start(session(), 'c', { search: `{"long":"${'x'.repeat(300)}"}` });
    await start(session(), 'd');
    expect(await found(session(), { search: { state: 'paid' } })).toEqual(['b']);
    expect(await found(session(), { search: { total: 9 } })).toEqual(['a']);
    expect(await found(session(), { search: { total: { $gt: 9 } } })).toEqual(['b']);
    expect(await found(session(), { search: { total: { $gte: 9 }, state: { $ne: 'paid' } } })).toEqual(['a']);
    expect(await found(session(), { search: { state: { $in: ['new', 'paid'] } } })).toEqual(['a', 'b']);
    expect(await found(session(), { search: { state: null } })).toEqual(['c', 'd', 'e']);
    expect(await found(session(), { search: { state: { $in: ['new', null] } } })).toEqual(['a', 'c', 'd', 'e']);
    expect(await found(session(), { search: { long: 'x'.repeat(300) } })).toEqual(['c']);
    expect(await found(session(), { search: { long: 'x'.repeat(301) } })).toEqual([]);
    expect(await found(session(), { entity: { label: 'order', where: { total: { $lt: 10 }, state: 'new' } } })).toEqual(
      ['e'],
    );
    expect(await found(session(), { entity: { where: { total: { $lt: 10 } } } })).toEqual(['e']);
    expect(await found(session(), { entity: { label: 'another', where: { total: 9 } } })).toEqual([]);
    expect(await found(session(), { entity: { where: { state: 'new' } }, search: { state: 'new' } })).toEqual([]);
  });

  it('are found by whether a thread of theirs is blocked', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'stuck');
    await block(session(), thread);
    await start(session(), 'fine');
    expect(await found(session(), { blocked: true })).toEqual(['stuck']);
    expect(await found(session(), { blocked: false })).toEqual(['fine']);
    expect((await list(session(), {})).map(({ blocked }) => blocked)).toEqual([false, true]);
  });

  it('come page by page, each on one page, whatever is started meanwhile', async () => {
    for (let n = 0; n < 7; n++) await start(session(), `${n}`);
    const pages: string[][] = [];
    for (let after: number | null = null; ; ) {
      const rows = await list(session(), {}, { after, limit: 3 });
      if (rows.length === 0) break;
      pages.push(ids(rows));
      after = rows.at(-1)?.run_no ?? 0;
      await start(session(), `later ${pages.length}`);
    }
    expect(pages).toEqual([['6', '5', '4'], ['3', '2', '1'], ['0']]);
  });

  it('are not selected by a condition that this schema does not know', async () => {
    await start(session(), 'a');
    const ask = (filter: object) => failureOf(listExecutions(session(), SCHEMA, filter, { after: null, limit: 1 }));
    expect(await ask({ status: ['open'], future: true })).toBe('PD003');
    expect(await failureOf(countExecutions(session(), SCHEMA, { future: true } as object))).toBe('PD003');
  });

  it('are looked up by the index of a search field, which is made once, whatever the values are', async () => {
    // Versions of rows from before, while somebody's snapshot sees them, would keep this transaction from using its index.
    await session().sql(`truncate ${SCHEMA}.execution, ${SCHEMA}.document`);
    await session().sql('begin'); // leaves nothing: executions without threads, and indexes
    await session().sql(`with made as (
        insert into ${SCHEMA}.service (kind, task_queue, name) values ('workflow', 'queue', 'flow') returning service_no)
      insert into ${SCHEMA}.execution (run_no, chain_no, request_no, run, service_no, created_at, signal_in,
        cancel_requested, workflow_id, state, cause, args)
      select n, n, n, 0, (select service_no from made), now(), true, false, n, 'open', 'start', '[]' from generate_series(1, 5000) n`);
    await session().sql(`insert into ${SCHEMA}.document (run_no, search)
      select n, jsonb_build_object('customer', case n when 4711 then repeat('rare', 500) else (n % 1000)::text end, 'other', n::text)
      from generate_series(1, 5000) n`);
    for (const field of ['customer', 'it\'s "quoted"; drop table', 'customer', 'x'.repeat(512)])
      await createSearchIndex(session(), SCHEMA, field);
    const indexes = await session().sql(
      `select from pg_indexes where schemaname = '${SCHEMA}' and indexname like 'document_search_%'`,
    );
    expect(indexes).toHaveLength(3);
    const looks = async () => {
      const [row] = await session().sql<{ n: number }>(
        `select sum(pg_stat_get_xact_numscans(indexrelid))::int as n from pg_index
         where indrelid = '${SCHEMA}.document'::regclass and indexrelid::regclass::text like '%document_search_%'`,
      );
      return row?.n;
    };
    const filters: [ExecutionFilter, string[]][] = [
      [{ search: { customer: 42, other: { $gt: 3000 } } }, ['3042', '4042']],
      [{ search: { customer: 'rare'.repeat(500) } }, ['4711']],
      [{ search: { customer: { $in: ['rare'.repeat(500), '42', 'rare'.repeat(499)] }, other: 4711 } }, ['4711']],
    ];
    expect(await found(session(), { search: { other: '42' } })).toEqual(['42']);
    expect(await looks()).toBe(0);
    let before = 0;
    for (const [filter, expected] of filters) {
      expect(await found(session(), filter)).toEqual(expected);
      const after = (await looks()) ?? 0;
      expect(after - before).toBeGreaterThanOrEqual(2); // for the page, and for the count
      before = after;
    }
    await session().sql('rollback');
  });

  it('no value becomes part of the statement', async () => {
    await start(session(), 'a', { search: '{"a":"1"}', entity: 'order' });
    const hostile = fc.oneof(
      fc.constantFrom(
        "'",
        '"',
        '\\',
        '%s',
        '%1$s',
        '$1',
        '--',
        '/*',
        "') or true --",
        "a' = 'a",
        '{',
        '}',
        ',',
        '{0,field}',
      ),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }),
    );
    const text = fc
      .array(hostile, { minLength: 1, maxLength: 3 })
      .map((parts) => parts.join(' ').normalize('NFC'))
      .filter(isIdentifier);
    const op = fc.constantFrom('$eq', '$gt', '$lt', '$in');
    await fc.assert(
      fc.asyncProperty(text, op, text, async (field, operator, value) => {
        const condition = { [`_${field}`]: { [operator]: operator === '$in' ? [value] : value } };
        for (const filter of [
          { search: condition },
          { entity: { where: condition } },
          { workflowId: `-${value}` },
          { workflowId: { prefix: `-${value}` } },
          { parentWorkflowId: value },
          { workflowName: `-${value}`, taskQueue: `-${value}` },
        ])
          expect(await found(session(), filter)).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });
});
