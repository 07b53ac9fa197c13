/**
 * npm run soak: whether a namespace stays as large as what it keeps. Starts many short workflows that are kept for seconds,
 * has them pruned by the worker meanwhile, and shows how large each table is and how many dead rows it has. The time for
 * which calls may be sent again, and with it the shortest retention, is made ten seconds instead of ten minutes, and
 * autovacuum looks every second instead of every minute: what takes a week otherwise takes minutes.
 *
 * It fails when violations() finds something, or when the second half of the runs made the tables larger by a third.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { installIfNeeded } from './dependencies.mjs';
import { startCluster } from './postgres.mjs';

process.chdir(join(import.meta.dirname, '..'));
installIfNeeded();

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '500000' },
    /** Activities per run. */
    steps: { type: 'string', default: '3' },
    /** Open at once. */
    open: { type: 'string', default: '1000' },
  },
});
const runs = Number(values.runs);
const steps = Number(values.steps);
const openAtOnce = Number(values.open);

const { Durable } = await import('perdure');
const activities = {
  /** @param {number} n */
  async addOne(n) {
    return n + 1;
  },
};
const { addOne } = Durable.workflow.proxyActivities({ activities });
/** @param {number} count */
async function adds(count) {
  let sum = 0;
  for (let n = 0; n < count; n++) sum = await addOne(sum);
  return sum;
}

const cluster = await startCluster({ settings: { fsync: 'on', autovacuum_naptime: '1s' } });
const connection = { class: pg.Pool, options: { connectionString: cluster.url, max: 6 } };
const client = new Durable.Client({ connection });
const worker = await Durable.Worker.create({ connection, taskQueue: 'soak', workflow: adds, activities });
const observer = new pg.Client({ connectionString: cluster.url, options: '-c search_path=durable' });
await observer.connect();
await observer.query(
  `create or replace function request_window() returns interval language sql stable as $$ select interval '10 s' $$`,
);

const seen = [];
let ended = 0;
let nextLook = 0;
const began = performance.now();

async function look() {
  const { rows } = await observer.query(
    `select s.relname as name, pg_total_relation_size(s.relid)::float8 as bytes, s.n_dead_tup::float8 as dead,
       s.n_live_tup::float8 as live, s.autovacuum_count::float8 as vacuums
     from pg_stat_user_tables s where s.schemaname = 'durable' and pg_total_relation_size(s.relid) > 200000 order by 2 desc`,
  );
  const [kept] = (await observer.query('select count(*)::int as n from execution')).rows;
  const bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
  seen.push({ ended, seconds: (performance.now() - began) / 1000, kept: kept.n, bytes, tables: rows });
  const tables = rows.slice(0, 6).map((row) => `${row.name} ${mb(row.bytes)} (${row.dead} dead)`);
  console.log(
    `${String(ended).padStart(7)} ended, ${(ended / (performance.now() - began)).toFixed(2)}/ms, ${kept.n} kept, ${mb(bytes)}: ${tables.join(', ')}`,
  );
}

/** @param {number} bytes */
function mb(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

let started = 0;
async function runOneAfterTheOther() {
  while (started < runs) {
    started++;
    const handle = await client.workflow.start({ taskQueue: 'soak', workflowName: 'adds', args: [steps], expire: 1 });
    await handle.result();
    ended++;
    if (ended >= nextLook) {
      nextLook = ended + runs / 20;
      await look();
    }
  }
}
await Promise.all(Array.from({ length: openAtOnce }, runOneAfterTheOther));
await look();

const found = (await observer.query('select * from violations()')).rows;
const half = Math.max(...seen.filter((one) => one.ended > runs * 0.2 && one.ended <= runs / 2).map((one) => one.bytes));
const last = Math.max(...seen.filter((one) => one.ended > runs / 2).map((one) => one.bytes));
console.log(`\nlargest in the first half ${mb(half)}, in the second ${mb(last)}`);
for (const table of seen.at(-1)?.tables ?? [])
  console.log(
    `${table.name.padEnd(16)} ${mb(table.bytes).padStart(10)} ${table.live} live, ${table.dead} dead, vacuumed ${table.vacuums} times`,
  );
await worker.stop();
await client.close();
await observer.end();
await cluster.stop();
if (found.length > 0) console.log('violations:', found);
if (found.length > 0 || last > half * 1.34) process.exitCode = 1;
