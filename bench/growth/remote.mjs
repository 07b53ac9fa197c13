/** Activities that run in another process than their workflow: each is a row that is claimed, and an answer. */
import { percentile } from '../statistics.mjs';
import { ELSEWHERE } from './workflows.mjs';

const QUEUE = 'remote';

/** @type {import('./curves.mjs').Curve} */
export const remote = {
  title: 'activities in another process',
  minutes: 3,
  size: { workflows: 1_000, steps: 10, single: 100 },
  quick: { workflows: 50, steps: 5, single: 5 },
  figures: {
    stepsPerSecond: { label: 'steps by another process', unit: '/s', mark: { least: 8_000 } },
    localPerSecond: { label: 'the same steps in the process of the workflow', unit: '/s' },
    share: { label: 'of the local ones', unit: '%' },
    oneStepP50: { label: 'start -> result, 1 step by another process, p50', unit: 'ms', digits: 2 },
    oneStepP95: { label: 'start -> result, 1 step by another process, p95', unit: 'ms', digits: 2 },
    tenStepsP50: { label: 'start -> result, 10 steps, p50', unit: 'ms', digits: 2 },
    stepP50: { label: 'one more step by another process', unit: 'ms', digits: 2 },
  },
  notMeasured: ['a network between them', 'more than one process of activities'],
  run,
};

/** @param {import('./stage.mjs').Stage} stage @param {{ workflows: number, steps: number, single: number }} size */
async function run(stage, { workflows, steps, single }) {
  const { url } = await stage.openDatabase();
  const worker = stage.startEngine(url, [{ taskQueue: QUEUE }]);
  await worker.ask('ready');
  const activities = stage.startEngine(url, [{ taskQueue: ELSEWHERE, only: [] }]);
  await activities.ask('ready');
  for (let round = 0; round <= stage.rounds; round++) {
    stage.progress(round === 0 ? 'warming up' : `round ${round} of ${stage.rounds}`);
    const far = await worker.ask('sequences', { taskQueue: QUEUE, workflow: 'remoteSequence', workflows, steps });
    const near = await worker.ask('sequences', { taskQueue: QUEUE, workflows, steps });
    stage.expect(far.wrong + near.wrong === 0, `${far.wrong + near.wrong} workflows gave a wrong result`);
    const timesOf = (/** @type {number} */ length) =>
      worker.ask('oneByOne', { taskQueue: QUEUE, workflow: 'remoteSequence', count: single, args: [1, length] });
    const [one, ten] = [await timesOf(1), await timesOf(10)];
    if (round === 0) continue;
    stage.note('stepsPerSecond', (workflows * steps) / far.seconds);
    stage.note('localPerSecond', (workflows * steps) / near.seconds);
    stage.note('share', (100 * near.seconds) / far.seconds);
    stage.note('oneStepP50', percentile(one, 0.5));
    stage.note('oneStepP95', percentile(one, 0.95));
    stage.note('tenStepsP50', percentile(ten, 0.5));
    stage.note('stepP50', (percentile(ten, 0.5) - percentile(one, 0.5)) / 9);
  }
}
