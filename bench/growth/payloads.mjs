/** A burst of large payloads, each an argument, an activity's result and a workflow's result, beside small workflows. */
import { percentile } from '../statistics.mjs';

const QUEUE = 'payloads';

/** @type {import('./curves.mjs').Curve} */
export const payloads = {
  title: 'a burst of 200 payloads of 1 MB beside small workflows',
  minutes: 4,
  size: { burst: 200, bytes: 1_000_000, single: 300 },
  quick: { burst: 10, bytes: 200_000, single: 20 },
  figures: {
    aloneP50: { label: 'small ones alone, p50', unit: 'ms', digits: 2 },
    aloneP99: { label: 'small ones alone, p99', unit: 'ms', digits: 2 },
    besideP50: { label: 'small ones during the burst, p50', unit: 'ms', digits: 2 },
    besideP99: { label: 'small ones during the burst, p99', unit: 'ms', digits: 2 },
    x: { label: 'p99 during the burst against alone', unit: 'x', digits: 1, mark: { most: 5 } },
    burstSeconds: { label: 'the burst of {burst} x {bytes} bytes', unit: 's', digits: 2 },
    megabytesPerSecond: { label: 'payload through the engine (three times each)', unit: 'MB/s', digits: 1 },
    stallMs: { label: "longest stall of the worker's event loop", unit: 'ms' },
  },
  notMeasured: ['payloads that compress well: these do not', 'a network'],
  run,
};

/** @param {import('./stage.mjs').Stage} stage @param {{ burst: number, bytes: number, single: number }} size */
async function run(stage, { burst, bytes, single }) {
  const { url } = await stage.openDatabase();
  const worker = stage.startEngine(url, [{ taskQueue: QUEUE }]);
  const large = stage.startEngine(url, []);
  const small = stage.startEngine(url, []);
  await worker.ask('ready');
  const oneByOne = (/** @type {number} */ count) =>
    small.ask('oneByOne', { taskQueue: QUEUE, workflow: 'echo', count, args: ['small'] });
  stage.progress('warming up');
  await oneByOne(50);
  await large.ask('burst', { taskQueue: QUEUE, count: Math.ceil(burst / 20), bytes });
  for (let round = 1; round <= stage.rounds; round++) {
    stage.progress(`round ${round} of ${stage.rounds}`);
    const alone = await oneByOne(single);
    await worker.ask('longestStallMs');
    let over = false;
    const bursting = large.ask('burst', { taskQueue: QUEUE, count: burst, bytes }).finally(() => {
      over = true;
    });
    const beside = [];
    while (!over) beside.push(...(await oneByOne(1)));
    const ms = await bursting;
    const stallMs = await worker.ask('longestStallMs');
    const [aloneP99, besideP99] = [percentile(alone, 0.99), percentile(beside, 0.99)];
    stage.note('aloneP50', percentile(alone, 0.5));
    stage.note('aloneP99', aloneP99);
    stage.note('besideP50', percentile(beside, 0.5));
    stage.note('besideP99', besideP99);
    stage.note('x', besideP99 / aloneP99);
    stage.note('burstSeconds', ms / 1000);
    stage.note('megabytesPerSecond', (3 * burst * bytes) / 1e3 / ms);
    stage.note('stallMs', stallMs);
  }
}
