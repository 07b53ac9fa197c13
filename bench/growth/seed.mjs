/**
 * Fills a database with executions as the engine would have left them: one of each kind is really run, and its rows are
 * copied by SQL under new numbers. Whatever columns the tables have or get, the copies have them too.
 */

/** The queue of the seeded ones. */
export const QUEUE = 'growth';

/** @param {number} n */
export const listenerOf = (n) => ({ id: `seed-listener-${n}`, signalId: `seed-signal-${n}` });

const YEAR_MS = 365 * 24 * 3_600_000;
const PIECE = 200_000;
/** As many as end in one commit of a busy engine. */
const RUNS_PER_NOTE = 200;

/**
 * @param {import('./stage.mjs').Stage} stage @param {import('./stage.mjs').Database} database
 * @param {{ listeners: number, sleepers: number, finished: number }} counts beyond the one of each kind that was run
 */
export async function seed(stage, { url, sql }, { listeners, sleepers, finished }) {
  const engine = stage.startEngine(url, [{ taskQueue: QUEUE, tuning: { parkAfter: '100ms' } }]);
  const start = (/** @type {string} */ workflow, /** @type {string} */ id, /** @type {unknown[]} */ args) =>
    engine.ask('start', { taskQueue: QUEUE, workflow, of: [{ id, args, expire: YEAR_MS / 1000 }] });
  await start('listener', listenerOf(0).id, [listenerOf(0).signalId]);
  await start('nap', 'seed-nap-0', [YEAR_MS]);
  await start('sequence', 'seed-sequence-0', [0, 1]);
  await engine.ask('result', { taskQueue: QUEUE, workflow: 'sequence', id: 'seed-sequence-0' });
  for (;;) {
    const { rows } = await sql.query(`select count(*)::int as parked from durable.thread where state = 'parked'`);
    if (rows[0].parked === 2) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await engine.stop();

  await sql.query('set synchronous_commit = off; set work_mem = 256000');
  const copies = { 'seed-listener-': listeners, 'seed-nap-': sleepers, 'seed-sequence-': finished };
  for (const [prefix, count] of Object.entries(copies)) await multiply(sql, prefix, count, stage.progress);
  stage.progress('vacuum, checkpoint');
  await sql.query('vacuum (analyze)');
  await sql.query('checkpoint');
}

/**
 * Copies the execution `<prefix>0` as `<prefix>1` ... `<prefix><count>`. In its texts `seed-signal-0` becomes the copy's number too.
 *
 * @param {import('pg').Client} sql @param {string} prefix @param {number} count @param {(line: string) => void} progress
 */
export async function multiply(sql, prefix, count, progress) {
  const { rows } = await sql.query('select run_no from durable.execution where workflow_id = $1', [`${prefix}0`]);
  const from = Number(rows[0].run_no);
  for (let done = 0; done < count; done += PIECE) {
    const piece = Math.min(PIECE, count - done);
    const { rows: numbers } = await sql.query(
      `select last_value as base, setval('durable.run_number', last_value + $1) from durable.run_number`,
      [piece],
    );
    const base = Number(numbers[0].base) - done;
    const n = `generate_series(${done + 1}, ${done + piece}) n`;
    const number = `${base} + n`;
    const renamed = (/** @type {string} */ column) =>
      `replace(t.${column}, 'seed-signal-0', 'seed-signal-' || n::text)`;
    // A year from now on, spread over half of it: an index of due times with every kind of place in it.
    const later = `interval '1 s' * (n * 7919::bigint % 15000000)`;
    const tables = {
      execution: [
        'run_no',
        {
          run_no: number,
          chain_no: number,
          request_no: 't.request_no + n',
          workflow_id: `'${prefix}' || n`,
          args: renamed('args'),
        },
      ],
      thread: ['run_no', { thread_no: number, run_no: number, ready_at: `t.ready_at + ${later}` }],
      history: [
        'thread_no',
        {
          thread_no: number,
          commit_no: 't.commit_no + n',
          previous_commit_no: 't.previous_commit_no + n',
          body: renamed('body'),
          result: renamed('result'),
        },
      ],
      timer: ['thread_no', { thread_no: number, due_at: `t.due_at + ${later}` }],
      wait: ['thread_no', { thread_no: number, chain_no: number, signal_id: renamed('signal_id') }],
    };
    await sql.query('begin');
    for (const [table, [key, changed]] of Object.entries(tables)) {
      const columns = await columnsOf(sql, table);
      const values = columns.map((column) => /** @type {Record<string, string>} */ (changed)[column] ?? `t.${column}`);
      await sql.query(
        `insert into durable.${table} (${columns.join(', ')})
         select ${values.join(', ')} from durable.${table} t, ${n} where t.${key} = ${from} order by n`,
      );
    }
    await sql.query(
      `insert into durable.pruning (due_at, runs)
       select (select due_at from durable.pruning where ${from} = any(runs)), array_agg(${number})
       from ${n} where exists (select from durable.pruning where ${from} = any(runs)) group by n / ${RUNS_PER_NOTE}`,
    );
    await sql.query('commit');
    progress(`${prefix}: ${(done + piece).toLocaleString('en')} of ${count.toLocaleString('en')}`);
  }
}

/** Those the database does not number by itself. @param {import('pg').Client} sql @param {string} table */
async function columnsOf(sql, table) {
  const { rows } = await sql.query(
    `select column_name as name from information_schema.columns
     where table_schema = 'durable' and table_name = $1 and is_identity = 'NO' order by ordinal_position`,
    [table],
  );
  return rows.map(({ name }) => /** @type {string} */ (name));
}
