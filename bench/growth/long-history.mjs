/**
 * One workflow of very many steps: what a step costs early and late, and how long it takes another process to go on with it.
 *
 * It stops for a signal at a few lengths. There its process ends, another one starts, and the time counts from the signal to
 * the next step: delivery, claim, loading the history, replaying it, the step. It stops again right behind, so that each length
 * is recovered `rounds` times.
 */
import { median } from '../statistics.mjs';
import { PARKED, untilCount } from './stage.mjs';

const QUEUE = 'long';
const ID = 'marathon';

/** @type {import('./curves.mjs').Curve} */
export const longHistory = {
  title: 'a history of 50,000 events in one run',
  minutes: 5,
  size: { first: 100, quarter: 12_500, half: 25_000, whole: 50_000, window: 500 },
  quick: { first: 50, quarter: 250, half: 500, whole: 1_000, window: 50 },
  figures: {
    recoverFirst: { label: 'recovery after {first} steps', unit: 'ms' },
    recoverQuarter: { label: 'recovery after {quarter} steps', unit: 'ms' },
    recoverHalf: { label: 'recovery after {half} steps', unit: 'ms' },
    recoverWhole: { label: 'recovery after {whole} steps', unit: 'ms', mark: { most: 3_000 } },
    linear: { label: 'recovery of {whole} per event against {quarter}', unit: 'x', digits: 2, mark: { most: 1.3 } },
    earlyMs: { label: 'a step among the first {window}', unit: 'ms', digits: 3 },
    lateMs: { label: 'a step among the last {window} before {whole}', unit: 'ms', digits: 3 },
    growth: { label: 'the late step against the early one', unit: 'x', digits: 2, mark: { most: 1.2 } },
    afterMs: { label: 'a step among {window} in the process that recovered {whole}', unit: 'ms', digits: 3 },
    growthAfter: { label: '... against the early one', unit: 'x', digits: 2, mark: { most: 1.2 } },
    heapMiB: { label: 'heap of the process that recovered {whole}', unit: 'MiB', digits: 1 },
  },
  notMeasured: [
    'large payloads in the history: a step has some bytes',
    'a process that was killed: its lease runs out first',
  ],
  run,
};

/** @param {import('./stage.mjs').Stage} stage @param {{ first: number, quarter: number, half: number, whole: number, window: number }} size */
async function run(stage, { first, quarter, half, whole, window }) {
  const { url, sql } = await stage.openDatabase();
  const start = () => stage.startEngine(url, [{ taskQueue: QUEUE, tuning: { parkAfter: '100ms' } }]);
  const lengths = /** @type {const} */ ([
    ['recoverFirst', first],
    ['recoverQuarter', quarter],
    ['recoverHalf', half],
    ['recoverWhole', whole],
  ]);
  // A stretch up to each length, then one step per recovery; behind the last recovery a window.
  const stretches = [];
  let length = 0;
  for (const [, target] of lengths) {
    stretches.push(target - length, ...Array(stage.rounds - 1).fill(1));
    length = target + stage.rounds - 1;
  }
  stretches.push(window);

  let engine = start();
  await engine.ask('start', { taskQueue: QUEUE, workflow: 'marathon', of: [{ id: ID, args: [ID, stretches] }] });
  let stop = 0;
  let steps = 0;
  let earlyMs = Number.NaN;
  for (const [figure, target] of lengths) {
    steps += stretches[stop] ?? 0;
    stage.progress(`${steps} steps`);
    await stopped(sql, steps);
    const gaps = gapsOf(await engine.ask('times'));
    if (figure === 'recoverQuarter') earlyMs = median(gaps.slice(-target).slice(0, window));
    if (figure === 'recoverWhole') {
      const lateMs = median(gaps.slice(-window));
      stage.note('earlyMs', earlyMs);
      stage.note('lateMs', lateMs);
      stage.note('growth', lateMs / earlyMs);
    }
    for (let round = 0; round < stage.rounds; round++) {
      await engine.stop();
      engine = start();
      await engine.ask('ready');
      await engine.ask('forgetTimes');
      const order = { taskQueue: QUEUE, workflow: 'marathon', id: ID, signalId: `${ID}-${stop}` };
      const sent = await engine.ask('signal', order);
      stop++;
      const isLast = round === stage.rounds - 1;
      if (!isLast) steps++;
      const went = await firstTime(engine);
      stage.note(figure, went - sent);
      stage.progress(`  recovered in ${Math.round(went - sent)} ms`);
      if (!isLast) await stopped(sql, steps);
    }
  }
  const result = await engine.ask('result', { taskQueue: QUEUE, workflow: 'marathon', id: ID });
  const total = stretches.reduce((sum, stretch) => sum + stretch, 0);
  stage.expect(result === total, `the marathon gave ${result} instead of ${total}`);
  const afterMs = median(gapsOf(await engine.ask('times')));
  stage.note('afterMs', afterMs);
  stage.note('growthAfter', afterMs / earlyMs);
  stage.note('heapMiB', (await engine.ask('memory')).heapUsed / 2 ** 20);
  const per = (/** @type {string} */ figure, /** @type {number} */ events) =>
    median(stage.samples.get(figure) ?? []) / events;
  stage.note('linear', per('recoverWhole', whole) / per('recoverQuarter', quarter));
}

/** Until it waits, with that many activities behind it. @param {import('pg').Client} sql @param {number} steps */
async function stopped(sql, steps) {
  const reached = `select count(*) from durable.history h join durable.execution e on e.run_no = h.thread_no
    where e.workflow_id = $1 and h.seq >= $2`;
  await untilCount(sql, `select least(1, (${reached}))`, [ID, steps], 1, 300_000);
  await untilCount(sql, PARKED, [], 1);
}

/** @param {import('./stage.mjs').EngineProcess} engine */
async function firstTime(engine) {
  for (;;) {
    const times = /** @type {number[]} */ (await engine.ask('times')).filter((time) => time > 0);
    if (times[0] !== undefined) return times[0];
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Between steps that follow each other. @param {number[]} times */
function gapsOf(times) {
  const noted = times.filter((time) => time > 0);
  return noted.slice(1).map((time, index) => time - (noted[index] ?? 0));
}
