// @ts-check
/** A line of a workflow is logged once, though a second worker replays it; activities log with the names of their calls. */
import { rmSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

/** @type {() => void} */
let packed = () => {};
const untilPacked = new Promise((resolve) => {
  packed = () => resolve(null);
});

/** What a logger is called with, as pino is: fields, then a message, or a message alone. @param {string} level */
function at(level) {
  /** @param {object | string} fields @param {string} [message] */
  return (fields, message = String(fields)) => {
    const { workflowName, activityName = workflowName, errorName } = /** @type {Record<string, string>} */ (fields);
    console.log([level, activityName, message, errorName].filter((part) => part !== undefined).join(' · '));
    if (message === 'packed') packed();
  };
}

/** Pino, one of its children or console would do as well. @type {import('perdure').Logger} */
const logger = { trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };

const activities = {
  /** @param {string} item */
  async pack(item) {
    const { log, attempt } = Durable.activity.getContext();
    log.info({ item }, 'packing');
    if (attempt === 1) throw new RangeError('no box is large enough');
  },
};

/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { pack } = Durable.workflow.proxyActivities({ retry: { initialInterval: 1 } });

/** @param {string} item */
async function order(item) {
  const { log } = Durable.workflow;
  log.info({ item }, 'ordered');
  await pack(item);
  log.info('packed');
  await Durable.workflow.sleep('3 seconds');
  log.info('collected');
}

const dataDir = '.perdure/example-logging';
rmSync(dataDir, { recursive: true, force: true });
const connection = { class: PGlite, options: { dataDir } };
const worker = { connection, taskQueue: 'orders', workflow: order, activities, logger, options: { logLevel: 'info' } };

await Durable.Worker.create(worker);
const client = new Durable.Client({ connection });
await client.workflow.start({ taskQueue: 'orders', workflowName: 'order', workflowId: 'o-1', args: ['sofa'] });
await untilPacked;
await Durable.shutdown();

// This worker reads the workflow back from its history. Of what it passes on the way, nothing is logged again.
await Durable.Worker.create(worker);
const handle = await client.workflow.getHandle('orders', 'order', 'o-1');
await handle.result();
await Durable.shutdown();

// Prints:
// info · a worker has started
// info · order · ordered
// info · pack · packing
// info · pack · an activity failed and is tried again · RangeError
// info · pack · packing
// info · order · packed
// info · a worker has stopped
// info · a worker has started
// info · order · collected
// info · a worker has stopped
