/** The same work by 1, 2 and 4 worker processes on one database: none may be lost to contention. */
import { PARKED } from './stage.mjs';

const COUNTS = /** @type {const} */ ([1, 2, 4]);

/** @type {import('./curves.mjs').Curve} */
export const processes = {
  title: '1, 2 and 4 worker processes on the same database',
  minutes: 4,
  size: { workflows: 1_000, steps: 10 },
  quick: { workflows: 60, steps: 5 },
  figures: {
    steps1: { label: 'sequential steps, 1 process', unit: '/s' },
    steps2: { label: 'sequential steps, 2 processes', unit: '/s' },
    steps4: { label: 'sequential steps, 4 processes', unit: '/s' },
    share2: { label: '2 processes against 1', unit: '%' },
    share4: { label: '4 processes against 1', unit: '%', mark: { least: 100 } },
    least4: { label: 'what the least busy of 4 did, of an equal part', unit: '%' },
  },
  notMeasured: ['a core for each process: they share those of this machine with the client and the server'],
  run,
};

/** @param {import('./stage.mjs').Stage} stage @param {{ workflows: number, steps: number }} size */
async function run(stage, { workflows, steps }) {
  const { url, sql } = await stage.openDatabase();
  const caller = stage.startEngine(url, []);
  await stage.startEngine(url, [{ taskQueue: 'first' }]).ask('ready'); // makes the schema
  for (const count of COUNTS) {
    const engines = Array.from({ length: count }, () => stage.startEngine(url, [{ taskQueue: `by-${count}` }]));
    await Promise.all(engines.map((engine) => engine.ask('ready')));
  }
  for (let round = 0; round <= stage.rounds; round++) {
    stage.progress(round === 0 ? 'warming up' : `round ${round} of ${stage.rounds}`);
    /** @type {Record<number, number>} */
    const perSecond = {};
    for (const count of round % 2 === 0 ? COUNTS : COUNTS.toReversed()) {
      const done = await caller.ask('sequences', { taskQueue: `by-${count}`, workflows, steps });
      stage.expect(done.wrong === 0, `${done.wrong} workflows gave a wrong result with ${count} processes`);
      perSecond[count] = (workflows * steps) / done.seconds;
    }
    if (round === 0) continue;
    for (const count of COUNTS) stage.note(`steps${count}`, perSecond[count] ?? Number.NaN);
    for (const count of [2, 4])
      stage.note(`share${count}`, (100 * (perSecond[count] ?? Number.NaN)) / (perSecond[1] ?? Number.NaN));
  }
  const { rows } = await sql.query(
    `select count(*)::float8 as entries from durable.history h
     join durable.execution e on e.run_no = h.thread_no join durable.service s on s.service_no = e.service_no
     where s.task_queue = 'by-4' group by h.worker_no order by 1`,
  );
  const total = rows.reduce((sum, { entries }) => sum + entries, 0);
  stage.note('least4', rows.length < 4 ? 0 : (100 * rows[0].entries) / (total / 4));
  await allEnded(stage, sql);
}

/** No step lost: every execution has ended, every history is whole. @param {import('./stage.mjs').Stage} stage @param {import('pg').Client} sql */
async function allEnded(stage, sql) {
  const { rows: open } = await sql.query(`select count(*)::int as open from durable.execution where state = 'open'`);
  const { rows: parked } = await sql.query(PARKED);
  stage.expect(open[0].open === 0 && Number(parked[0].count) === 0, `${open[0].open} executions did not end`);
  const { rows: broken } = await sql.query('select name, what from durable.violations() limit 10');
  for (const { name, what } of broken) stage.expect(false, `violations(): ${name}: ${what}`);
}
