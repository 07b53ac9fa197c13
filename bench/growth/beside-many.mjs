/**
 * What work costs in a database that holds very many executions, against one that holds few: the same cluster, a worker
 * each, measured in turn.
 *
 * The seeded ones are rows that the engine did not make just now, in tables that no longer fit into the server's buffers:
 * signalling one of them finds a cold run, claims it and replays it.
 */
import { percentile } from '../statistics.mjs';
import { listenerOf, QUEUE, seed } from './seed.mjs';
import { forgetCalls, serverCalls } from './server-calls.mjs';

/** @typedef {import('./stage.mjs').Stage} Stage */
/** @typedef {{ listeners: number, sleepers: number, finished: number }} Counts */

const few = { listeners: 5_000, sleepers: 100, finished: 100 };

export const figures = {
  stepsShare: { label: 'sequential steps/s, of those beside few', unit: '%', mark: { least: 100 / 1.3 } },
  oneStepX: { label: 'start -> result, 1 step, p50, against few', unit: 'x', digits: 2, mark: { most: 1.3 } },
  signalX: { label: 'signal to a cold one -> result, p50, against few', unit: 'x', digits: 2, mark: { most: 1.3 } },
  startCallX: { label: 'time in the server: start, per call of one', unit: 'x', digits: 2, mark: { most: 1.3 } },
  startRowX: { label: 'time in the server: start, per row of a batch', unit: 'x', digits: 2, mark: { most: 1.3 } },
  claimCallX: { label: 'time in the server: claim, per call of one', unit: 'x', digits: 2, mark: { most: 1.3 } },
  commitRowX: { label: 'time in the server: commit, per row of a batch', unit: 'x', digits: 2, mark: { most: 1.3 } },
  signalCallX: { label: 'time in the server: signal, per call of one', unit: 'x', digits: 2, mark: { most: 1.3 } },
  stepsPerSecond: { label: 'sequential steps beside many', unit: '/s' },
  oneStepP50: { label: 'start -> result, 1 step, p50, beside many', unit: 'ms', digits: 2 },
  signalP50: { label: 'signal to a cold one -> result, p50, beside many', unit: 'ms', digits: 2 },
  heapX: { label: "worker's heap against few", unit: 'x', digits: 2, mark: { most: 1.1 } },
  heapMiB: { label: "worker's heap beside many", unit: 'MiB', digits: 1 },
  idleQueries: { label: 'queries when nothing happens, per worker', unit: '/s', digits: 2, mark: { most: 2 } },
  idleServerMs: { label: '... time in the server for them, per second', unit: 'ms', digits: 2 },
  gigabytes: { label: 'size of the database', unit: 'GB', digits: 2 },
};

/** @param {Stage} stage @param {Counts & { workflows: number, steps: number, single: number, idleSeconds: number }} size */
export async function besideMany(stage, { listeners, sleepers, finished, ...work }) {
  const sides = [];
  for (const counts of [few, { listeners, sleepers, finished }]) {
    const database = await stage.openDatabase();
    await seed(stage, database, counts);
    const engine = stage.startEngine(database.url, [{ taskQueue: QUEUE }]);
    await engine.ask('ready');
    sides.push({ ...database, engine, counts, asked: 0 });
  }
  const [little, much] = /** @type {[Side, Side]} */ (sides);
  for (let round = 0; round <= stage.rounds; round++) {
    stage.progress(round === 0 ? 'warming up' : `round ${round} of ${stage.rounds}`);
    const order = round % 2 === 0 ? [little, much] : [much, little];
    const found = new Map();
    for (const side of order) found.set(side, await measure(stage, side, work));
    if (round > 0) note(stage, found.get(little), found.get(much));
  }
  await idle(stage, [little, much], work.idleSeconds);
  const { rows: broken } = await little.sql.query('select name, what from durable.violations() limit 10');
  for (const { name, what } of broken) stage.expect(false, `violations(): ${name}: ${what}`);
  const { rows } = await much.sql.query('select pg_database_size(current_database()) / 1e9 as gb');
  stage.note('gigabytes', Number(rows[0].gb));
}

/** @typedef {import('./stage.mjs').Database & { engine: import('./stage.mjs').EngineProcess, counts: Counts, asked: number }} Side */

/** @param {Stage} stage @param {Side} side @param {{ workflows: number, steps: number, single: number }} work */
async function measure(stage, side, { workflows, steps, single }) {
  const { engine, sql, counts } = side;
  await forgetCalls(sql);
  const many = await engine.ask('sequences', { taskQueue: QUEUE, workflows, steps });
  stage.expect(many.wrong === 0, `${many.wrong} workflows gave a wrong result`);
  const batched = await serverCalls(sql);
  await forgetCalls(sql);
  const times = await engine.ask('oneByOne', { taskQueue: QUEUE, workflow: 'sequence', count: single, args: [1, 1] });
  // Spread over all of them, each once.
  const stride = Math.max(1, Math.floor(counts.listeners / (single * (stage.rounds + 1))));
  const of = Array.from({ length: single }, () => listenerOf(1 + ((side.asked++ * stride) % counts.listeners)));
  const signalled = await engine.ask('signals', { taskQueue: QUEUE, of });
  const alone = await serverCalls(sql);
  return {
    stepsPerSecond: (workflows * steps) / many.seconds,
    oneStepP50: percentile(times, 0.5),
    signalP50: percentile(signalled, 0.5),
    startRow: perRow(batched, 'start'),
    commitRow: perRow(batched, 'commit'),
    startCall: perCall(alone, 'start'),
    claimCall: perCall(alone, 'claim'),
    signalCall: perCall(alone, 'signal'),
  };
}

/** @param {Stage} stage @param {Record<string, number>} little @param {Record<string, number>} much */
function note(stage, little, much) {
  const times = (/** @type {string} */ name) => (much[name] ?? Number.NaN) / (little[name] ?? Number.NaN);
  stage.note('stepsShare', 100 * times('stepsPerSecond'));
  stage.note('oneStepX', times('oneStepP50'));
  stage.note('signalX', times('signalP50'));
  for (const name of ['startRow', 'commitRow', 'startCall', 'claimCall', 'signalCall'])
    stage.note(`${name}X`, times(name));
  for (const name of ['stepsPerSecond', 'oneStepP50', 'signalP50']) stage.note(name, much[name] ?? Number.NaN);
}

/** @param {Stage} stage @param {[Side, Side]} sides @param {number} seconds */
async function idle(stage, [little, much], seconds) {
  stage.progress(`${seconds} s of rest`);
  const heaps = [];
  for (const { engine } of [little, much]) heaps.push((await engine.ask('memory')).heapUsed / 2 ** 20);
  stage.note('heapX', (heaps[1] ?? Number.NaN) / (heaps[0] ?? Number.NaN));
  stage.note('heapMiB', heaps[1] ?? Number.NaN);
  await new Promise((resolve) => setTimeout(resolve, 5_000)); // what was under way is parked
  await forgetCalls(much.sql);
  await new Promise((resolve) => setTimeout(resolve, 1_000 * seconds));
  const calls = [...(await serverCalls(much.sql)).entries()];
  for (const [name, { calls: count, ms }] of calls)
    stage.progress(`  at rest: ${name}: ${count} calls, ${(ms / count).toFixed(2)} ms each`);
  const sum = (/** @type {(of: { calls: number, ms: number }) => number} */ of) =>
    calls.reduce((total, [, entry]) => total + of(entry), 0) / seconds;
  stage.note(
    'idleQueries',
    sum(({ calls: count }) => count),
  );
  stage.note(
    'idleServerMs',
    sum(({ ms }) => ms),
  );
}

/** @param {Awaited<ReturnType<typeof serverCalls>>} calls @param {string} name */
function perRow(calls, name) {
  const { ms, rows } = calls.get(name) ?? { ms: Number.NaN, rows: 1 };
  return ms / rows;
}

/** @param {Awaited<ReturnType<typeof serverCalls>>} calls @param {string} name */
function perCall(calls, name) {
  const { ms, calls: count } = calls.get(name) ?? { ms: Number.NaN, calls: 1 };
  return ms / count;
}
