/**
 * What a live execution takes in the memory of its worker while it waits: orders as the demo has them, up to where a person
 * is asked. All stay cached; answering them all must load no history.
 */

import { forgetCalls, serverCalls } from './server-calls.mjs';
import { PARKED, untilCount } from './stage.mjs';

const QUEUE = 'cache';
const ITEMS = ['kettle', 'teapot', 'cups'];

/** @type {import('./curves.mjs').Curve} */
export const cache = {
  title: '20,000 live executions cached at once',
  minutes: 3,
  size: { executions: 20_000 },
  quick: { executions: 500 },
  figures: {
    kibPerExecution: { label: 'heap per cached execution', unit: 'KiB', digits: 2, mark: { most: 15 } },
    rssKibPerExecution: { label: 'memory of the process per cached execution', unit: 'KiB', digits: 2 },
    startedPerSecond: { label: 'orders brought to their wait', unit: '/s' },
    answeredPerSecond: { label: 'cached orders answered and finished', unit: '/s' },
    loaded: { label: 'histories loaded for it', unit: '', mark: { most: 0 } },
    stallMs: { label: 'longest stall of the event loop', unit: 'ms' },
  },
  notMeasured: ['eviction: all fit', 'results larger than 70 bytes: a workflow keeps what it keeps'],
  run,
};

/** @param {import('./stage.mjs').Stage} stage @param {{ executions: number }} size */
async function run(stage, { executions }) {
  const { url, sql } = await stage.openDatabase();
  const tuning = { maxCachedWorkflows: 2 * executions, maxConcurrentWorkflows: executions };
  for (let round = 1; round <= Math.min(stage.rounds, 3); round++) {
    const engine = stage.startEngine(url, [{ taskQueue: QUEUE, tuning }]);
    // What the process has once it has worked at all is not the executions'.
    await fill(engine, sql, 200, `warm-${round}`);
    await answer(engine, 200, `warm-${round}`);
    const before = await engine.ask('memory');
    await engine.ask('longestStallMs');
    stage.progress(`round ${round}: ${executions} orders`);
    const seconds = await fill(engine, sql, executions, `order-${round}`);
    const after = await engine.ask('memory');
    stage.note('kibPerExecution', (after.heapUsed - before.heapUsed) / 1024 / executions);
    stage.note('rssKibPerExecution', (after.rss - before.rss) / 1024 / executions);
    stage.note('startedPerSecond', executions / seconds);
    await forgetCalls(sql);
    await engine.ask('longestStallMs');
    const from = performance.now();
    const results = await answer(engine, executions, `order-${round}`);
    stage.note('answeredPerSecond', (1000 * executions) / (performance.now() - from));
    stage.note('stallMs', await engine.ask('longestStallMs'));
    stage.expect(
      results.every((/** @type {number} */ used) => used === 1 + ITEMS.length),
      'an order lost some of its results',
    );
    const loads = [...(await serverCalls(sql))].filter(([name]) => /load\w*_history/.test(name));
    stage.note(
      'loaded',
      loads.reduce((sum, [, { calls }]) => sum + calls, 0),
    );
    await engine.stop();
  }
}

/** @param {import('./stage.mjs').EngineProcess} engine @param {import('pg').Client} sql @param {number} count @param {string} name */
async function fill(engine, sql, count, name) {
  const from = performance.now();
  const of = Array.from({ length: count }, (_, index) => ({ id: `${name}-${index}`, args: [index, ITEMS] }));
  await engine.ask('start', { taskQueue: QUEUE, workflow: 'order', of });
  await untilCount(sql, `select count(*) from durable.wait`, [], count);
  const seconds = (performance.now() - from) / 1000;
  await untilCount(sql, PARKED, [], count);
  return seconds;
}

/** @param {import('./stage.mjs').EngineProcess} engine @param {number} count @param {string} name */
function answer(engine, count, name) {
  const ids = Array.from({ length: count }, (_, index) => `${name}-${index}`);
  return engine.ask('signalAll', { taskQueue: QUEUE, workflow: 'order', ids, signalId: 'approval', data: 'approved' });
}
