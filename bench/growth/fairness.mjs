/**
 * A workflow with a long queue of its own beside one that is asked for now and then: how long the rare one takes alone, beside the
 * crowd in another queue of the same process, and beside the crowd in the same queue.
 */
import { percentile } from '../statistics.mjs';

/** @type {import('./curves.mjs').Curve} */
export const fairness = {
  title: 'a rare workflow beside a crowd, in another queue and in the same one',
  minutes: 4,
  size: { workflows: 10_000, steps: 5, single: 40 },
  quick: { workflows: 200, steps: 3, single: 5 },
  figures: {
    aloneP50: { label: 'the rare one alone, p50', unit: 'ms', digits: 2 },
    otherP50: { label: '... beside the crowd in another queue, p50', unit: 'ms', digits: 1 },
    otherP95: { label: '... beside the crowd in another queue, p95', unit: 'ms', digits: 1 },
    sameP50: { label: '... beside the crowd in its own queue, p50', unit: 'ms', digits: 1 },
    sameP95: { label: '... beside the crowd in its own queue, p95', unit: 'ms', digits: 1 },
    crowdSeconds: { label: 'the crowd of {workflows} x {steps} steps, alone in its queue', unit: 's', digits: 1 },
    waited: { label: "the rare one's p95, of the time the crowd took", unit: '%', digits: 1, mark: { most: 10 } },
  },
  notMeasured: ['priorities: there are none', 'a worker without a free slot: its queue is what was asked first'],
  run,
};

/** @param {import('./stage.mjs').Stage} stage @param {{ workflows: number, steps: number, single: number }} size */
async function run(stage, { workflows, steps, single }) {
  const { url } = await stage.openDatabase();
  const worker = stage.startEngine(url, [{ taskQueue: 'crowd' }, { taskQueue: 'rare' }]);
  const caller = stage.startEngine(url, []);
  await worker.ask('ready');
  const rare = (/** @type {string} */ taskQueue) =>
    caller.ask('oneByOne', { taskQueue, workflow: 'echo', count: single, args: ['rare'] });
  const beside = async (/** @type {string} */ taskQueue) => {
    const crowd = worker.ask('sequences', { taskQueue: 'crowd', workflows, steps });
    const times = [];
    let over = false;
    const ended = crowd.finally(() => {
      over = true;
    });
    while (!over) {
      const [ms] = await caller.ask('oneByOne', { taskQueue, workflow: 'echo', count: 1, args: ['rare'] });
      if (!over) times.push(ms);
    }
    const { seconds, wrong } = await ended;
    stage.expect(wrong === 0, `${wrong} of the crowd gave a wrong result`);
    return { times, seconds };
  };
  for (let round = 0; round <= stage.rounds; round++) {
    stage.progress(round === 0 ? 'warming up' : `round ${round} of ${stage.rounds}`);
    const alone = await rare('rare');
    const other = await beside('rare');
    const same = await beside('crowd');
    if (round === 0) continue;
    stage.note('aloneP50', percentile(alone, 0.5));
    stage.note('otherP50', percentile(other.times, 0.5));
    stage.note('otherP95', percentile(other.times, 0.95));
    stage.note('sameP50', percentile(same.times, 0.5));
    stage.note('sameP95', percentile(same.times, 0.95));
    stage.note('crowdSeconds', other.seconds);
    const shares = [other, same].map(({ times, seconds }) => percentile(times, 0.95) / 1000 / seconds);
    stage.note('waited', 100 * Math.max(...shares));
  }
}
