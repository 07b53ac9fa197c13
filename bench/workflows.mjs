/** What the engine is measured with: workflows and activities as a user would write them, doing next to nothing. */
import { Durable } from 'perdure';

const { proxyActivities, sleep, condition, executeChild } = Durable.workflow;

/** How often activities ran, and when: the worker runs them in this process. */
export const ledger = {
  runs: 0,
  /** @type {number[]} */
  times: [],
};

export const activities = {
  /** @param {number} value */
  async addOne(value) {
    ledger.runs++;
    return value + 1;
  },

  /** @param {number} step */
  async noteTime(step) {
    ledger.times[step] = performance.now();
    return step;
  },
};

const { addOne, noteTime } = /** @type {import('perdure').ActivityProxy<typeof activities>} */ (
  proxyActivities({ activities })
);

export const workflows = {
  /** Each step takes what the one before gave.
   * @param {number} value @param {number} steps */
  async sequence(value, steps) {
    let sum = value;
    for (let step = 0; step < steps; step++) sum = await addOne(sum);
    return sum;
  },

  /** @param {number} steps */
  async long(steps) {
    for (let step = 0; step < steps; step++) await noteTime(step);
    return steps;
  },

  /** @param {number} width */
  async wide(width) {
    return Promise.all(Array.from({ length: width }, (_, index) => addOne(index)));
  },

  /** @param {string} signalId */
  async listener(signalId) {
    return condition(signalId);
  },

  /** @param {number} ms */
  async nap(ms) {
    return sleep(ms);
  },

  /** @param {number} children */
  async parent(children) {
    return Promise.all(
      Array.from({ length: children }, (_, index) => executeChild({ workflowName: 'child', args: [index] })),
    );
  },

  /** @param {number} value */
  async child(value) {
    return value * 2;
  },
};
