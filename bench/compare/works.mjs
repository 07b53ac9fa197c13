/**
 * The works, the same for all: they know an engine only as something that starts a workflow and signals it.
 *
 *     node works.mjs <engine> <url>
 */
import { answerParent } from '../process.mjs';
import { percentile } from '../statistics.mjs';

/** @typedef {{ id?: string, result(): Promise<unknown> }} Handle */
/**
 * @typedef {object} Engine
 * @property {string[]} [lacks] workflows it has no word for
 * @property {(workflow: 'sequence' | 'wide' | 'listener', args: any[]) => Promise<Handle>} start
 * @property {(handle: any, data: unknown) => Promise<unknown>} [signal]
 * @property {() => Promise<unknown>} close
 */

/** @typedef {{ workflows: number, steps: number, single: number, width: number, signals: number }} Size */

const [name, url = ''] = process.argv.slice(2);
const { open } = await import(`./engines/${name}.mjs`);
/** @type {Engine} */
const engine = await open(url);

answerParent(
  {
    /** @param {Size} size @returns {Promise<Record<string, number>>} */
    async measure(size) {
      const figures = {
        ...(await sequences(size)),
        oneStepP50: await oneByOne(size.single, 1),
        tenStepsP50: await oneByOne(Math.ceil(size.single / 2), 10),
      };
      if (engine.lacks?.includes('wide')) return figures;
      return { ...figures, wideMs: await wide(size), signalP50: await signals(size) };
    },
  },
  async () => {
    await engine.close();
  },
);

/** @param {Size} size */
async function sequences({ workflows, steps }) {
  const started = performance.now();
  const handles = await Promise.all(
    Array.from({ length: workflows }, (_, index) => engine.start('sequence', [index, steps])),
  );
  const startSeconds = (performance.now() - started) / 1000;
  const results = await Promise.all(handles.map((handle) => handle.result()));
  const seconds = (performance.now() - started) / 1000;
  check(
    results.every((result, index) => result === index + steps),
    'a sequence',
  );
  return { stepsPerSecond: (workflows * steps) / seconds, startsPerSecond: workflows / startSeconds };
}

/** @param {number} count @param {number} steps */
async function oneByOne(count, steps) {
  const times = [];
  for (let index = 0; index < count; index++) {
    const from = performance.now();
    const handle = await engine.start('sequence', [index, steps]);
    check((await handle.result()) === index + steps, 'a sequence');
    times.push(performance.now() - from);
  }
  return percentile(times, 0.5);
}

/** @param {Size} size */
async function wide({ width }) {
  const from = performance.now();
  const handle = await engine.start('wide', [width]);
  check((await handle.result()) === width, 'parallel steps');
  return performance.now() - from;
}

/** A tenth of a second for each to begin its wait. @param {Size} size */
async function signals({ signals: count }) {
  const times = [];
  for (let index = 0; index < count; index++) {
    const handle = await engine.start('listener', []);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const from = performance.now();
    await engine.signal?.(handle, { index });
    const result = /** @type {{ index: number }} */ (await handle.result());
    times.push(performance.now() - from);
    check(result.index === index, 'a signal');
  }
  return percentile(times, 0.5);
}

/** @param {boolean} right @param {string} what */
function check(right, what) {
  if (!right) throw new Error(`${name}: ${what} gave a wrong result`);
}
