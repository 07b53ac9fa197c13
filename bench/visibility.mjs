/**
 * How long it takes to find executions among very many: builds a namespace of a million finished and a hundred thousand open
 * ones by SQL, asks what users ask, and prints times and plans.
 *
 *   node bench/visibility.mjs [--finished 1000000] [--open 100000] [--plans]
 *
 * Needs a build (`npm run build`). Not measured: a cold cache (everything was written just before), writers beside the reader.
 */
import { parseArgs } from 'node:util';
import pg from 'pg';
import { Client } from '../dist/index.js';
import { startCluster } from '../scripts/postgres.mjs';
import { createDatabase, withClient } from './database.mjs';
import { median } from './statistics.mjs';

const { values: given } = parseArgs({
  options: {
    finished: { type: 'string', default: '1000000' },
    open: { type: 'string', default: '100000' },
    plans: { type: 'boolean', default: false },
  },
});
const ROUNDS = 15;
const finished = Number(given.finished);
const open = Number(given.open);

/**
 * Half of the open ones are older than all that finished: the worst for whoever looks for them from the newest on. One in
 * fifty failed; a customer has 20 or so.
 */
const BUILD = `
insert into durable.service (kind, task_queue, name)
select 'workflow', 'queue-' || n % 4, 'flow-' || n from generate_series(0, 19) n;

create temp table made as
select n, n <= $1 / 2 or n > $1 / 2 + $2 as is_open,
  timestamptz '2026-01-01' + n * interval '2 s' as created_at
from generate_series(1, $1 + $2) n;

insert into durable.execution (run_no, chain_no, request_no, run, service_no, created_at, closed_at, signal_in,
  cancel_requested, workflow_id, state, cause, args, entity)
select nextval('durable.run_number'), n, n, 0,
  (select min(service_no) from durable.service) + n % 20, created_at,
  case when not is_open then created_at + interval '5 minutes' end, true, false, 'order-' || n,
  case when is_open then 'open' when n % 50 = 0 then 'failed' else 'completed' end, 'start', '[]',
  case when n % 2 = 0 then 'order' end
from made order by n;

insert into durable.thread (thread_no, run_no, service_no, state, epoch)
select n, n, (select min(service_no) from durable.service) + n % 20, case when is_open then 'parked' else 'done' end, 1
from made order by n;

insert into durable.document (run_no, search, entity)
select n, jsonb_build_object('customer', 'c-' || n * 7919::bigint % 50000, 'region', 'r-' || n % 5, 'total', (n % 1000)::text),
  case when n % 2 = 0 then jsonb_build_object('state', 's-' || n % 20000, 'total', n % 1000) end
from made order by n;
`;

/** @type {[string, import('../dist/index.js').ExecutionFilter][]} */
const questions = [
  ['everything, newest first', {}],
  ['a customer (search field, indexed)', { search: { customer: 'c-4711' } }],
  ['a customer, open', { search: { customer: 'c-4711' }, status: 'open' }],
  ['a region (a fifth of all), open', { search: { region: 'r-3' }, status: 'open' }],
  ['a customer and a total', { search: { customer: 'c-4711', total: { $gte: 500 } } }],
  ['an entity by a field, indexed', { entity: { label: 'order', where: { state: 's-4710' } } }],
  ['an id', { workflowId: 'order-700000' }],
  ['ids that begin alike', { workflowId: { prefix: 'order-70000' } }],
  ['a workflow that failed', { status: 'failed', workflowName: 'flow-10' }],
  ['open', { status: 'open' }],
  ['open, of one function', { status: 'open', workflowName: 'flow-7' }],
  ['terminated (there is none)', { status: 'terminated' }],
  ['blocked (there is none)', { blocked: true }],
  ['started on a day', { started: { from: '2026-01-15T00:00:00Z', to: '2026-01-16T00:00:00Z' } }],
  ['a total of a search field without index', { search: { total: { $gte: 998 } } }],
];

const cluster = await startCluster({ settings: { fsync: 'on', shared_buffers: '1GB', max_wal_size: '8GB' } });
try {
  const database = await createDatabase(cluster.url);
  const client = new Client({ connection: { class: pg.Client, options: { connectionString: database.url } } });
  await client.workflow.count({}); // makes the schema
  await withClient(database.url, async (sql) => {
    await timed('built', () => build(sql));
    await timed('index of customer', () => client.workflow.createSearchIndex('customer'));
    await timed('index of region', () => client.workflow.createSearchIndex('region'));
    const engine = await client.getHotMeshClient();
    await timed("index of the document's state", () => engine.createEntityIndex('state'));
    await sql.query('vacuum analyze');
    console.log(await sizes(sql));
    if (given.plans) await plans(sql);
    for (const [title, filter] of questions) await ask(client, title, filter);
  });
  await client.close();
} finally {
  await cluster.remove();
}

/** @param {pg.Client} sql */
async function build(sql) {
  const statements = BUILD.replaceAll('$1', String(open)).replaceAll('$2', String(finished));
  await sql.query(statements);
}

/**
 * @param {string} title
 * @param {() => Promise<unknown>} work
 */
async function timed(title, work) {
  const from = performance.now();
  await work();
  console.log(`${title}: ${((performance.now() - from) / 1000).toFixed(1)} s`);
}

/** @param {Client} client @param {string} title @param {import('../dist/index.js').ExecutionFilter} filter */
async function ask(client, title, filter) {
  const times = { list: [], count: [] };
  let found = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let from = performance.now();
    const { executions } = await client.workflow.list(filter, { limit: 20 });
    times.list.push(performance.now() - from);
    from = performance.now();
    found = round < 3 ? await client.workflow.count(filter) : found;
    if (round < 3) times.count.push(performance.now() - from);
    if (executions.length !== Math.min(20, found)) throw new Error(`${title}: ${executions.length} of ${found}`);
  }
  const ms = (/** @type {number[]} */ of) => `${median(of).toFixed(1)} ms`.padStart(9);
  console.log(`| ${title.padEnd(40)} | ${String(found).padStart(8)} | ${ms(times.list)} | ${ms(times.count)} |`);
}

/** The plans of the statements within the functions. @param {pg.Client} sql */
async function plans(sql) {
  await sql.query(`load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_analyze = on;
    set auto_explain.log_nested_statements = on; set auto_explain.log_timing = off; set auto_explain.log_level = notice`);
  const { resolveFilter } = await import('../dist/core/execution-filter.js');
  for (const [title, filter] of questions) {
    const said = [];
    const hear = (/** @type {{ message?: string }} */ { message = '' }) => said.push(message);
    sql.on('notice', hear);
    await sql.query('select * from durable.find_executions($1, null, 21)', [
      JSON.stringify(resolveFilter('list', filter)),
    ]);
    sql.off('notice', hear);
    const plan = said.find((message) => message.includes('order by e.run_no desc limit $5'));
    console.log(`\n### ${title}\n\n${plan}`);
  }
}

/** @param {pg.Client} sql */
async function sizes(sql) {
  const { rows } = await sql.query(`
    select relname || ' ' || pg_size_pretty(pg_relation_size(oid)) as size from pg_class
    where relnamespace = 'durable'::regnamespace and pg_relation_size(oid) > 1e6 order by pg_relation_size(oid) desc`);
  return rows.map(({ size }) => size).join('\n');
}
