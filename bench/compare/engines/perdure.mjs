/** Perdure, as it is built in this repository. Run `npm run build` there first. */
import pg from 'pg';
import { Durable } from '../../../dist/index.js';

const { proxyActivities, condition } = Durable.workflow;
const activities = {
  /** @param {number} value */
  async addOne(value) {
    return value + 1;
  },
};
const { addOne } = proxyActivities({ activities });

const workflows = {
  async sequence(value, steps) {
    let sum = value;
    for (let step = 0; step < steps; step++) sum = await addOne(sum);
    return sum;
  },
  async wide(width) {
    return (await Promise.all(Array.from({ length: width }, (_, index) => addOne(index)))).length;
  },
  async listener() {
    return condition('go');
  },
};

/** @param {string} url @returns {Promise<import('../works.mjs').Engine>} */
export async function open(url) {
  const connection = { class: pg.Client, options: { connectionString: url } };
  const client = new Durable.Client({ connection });
  await Durable.Worker.create({
    connection,
    taskQueue: 'compare',
    workflow: workflows,
    activities,
    options: { logLevel: 'warn' },
  });
  return {
    start: (workflowName, args) => client.workflow.start({ taskQueue: 'compare', workflowName, args }),
    signal: (handle, data) => handle.signal('go', data),
    close: () => Durable.shutdown(),
  };
}
