// @ts-check
/** Running a fleet: pausing it, retrying what failed from the step that failed, going back, trying something in a fork. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

let printerWorks = false;
/** @type {string[]} */
const charged = [];

const activities = {
  /** @param {string} order */
  async charge(order) {
    charged.push(order);
    return `receipt of ${order}`;
  },
  /** @param {string} receipt */
  async print(receipt) {
    if (!printerWorks) throw new Error('out of paper');
    return `${receipt}, printed`;
  },
};

const { charge, print } = Durable.workflow.proxyActivities({
  activities,
  retry: { maximumAttempts: 1, initialInterval: 1 },
});

/** @param {string} order */
async function sale(order) {
  return await print(await charge(order));
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'till', workflow: { sale } });
const client = new Durable.Client({ connection });
const { bulk } = client.workflow;

/** @param {string} order */
const sell = (order, startDelay = 0) =>
  client.workflow.start({ taskQueue: 'till', workflowName: 'sale', workflowId: order, args: [order], startDelay });

// All of them fail at the printer.
const sales = await Promise.all(['a', 'b', 'c'].map((order) => sell(order)));
for (const handle of sales) await handle.result({ throwOnError: false });

// What would be retried, and then really: nobody is charged twice.
printerWorks = true;
const failed = { status: /** @type {const} */ ('failed'), workflowName: 'sale' };
const plan = await bulk.retry(failed, { dryRun: true });
console.log(`to be retried: ${[...plan.ids].sort().join(', ')}`);
const { done } = await bulk.retry(failed, { reason: 'new paper' });
for (const handle of sales) console.log(await handle.result());
console.log(`${done} retried, ${charged.length} charges`);

// Back to an event of its export, under another id: the original is left alone.
const { events } = await sales[0].exportExecution();
const paid = events.find(({ event_type }) => event_type === 'activity_task_completed');
const fork = await sales[0].reset({ eventId: paid?.event_id ?? 1, workflowId: 'a, once more' });
console.log(`${fork.workflowId}: ${await fork.result()}; ${charged.length} charges`);

// Nothing of a paused workflow goes on.
const later = await sell('d', 500);
await later.pause({ reason: 'stocktaking' });
console.log(`paused: ${await client.workflow.count({ paused: true })}`);
await later.resume();
console.log(await later.result());
await Durable.shutdown();

// Prints:
// to be retried: a, b, c
// receipt of a, printed
// receipt of b, printed
// receipt of c, printed
// 3 retried, 3 charges
// a, once more: receipt of a, printed; 3 charges
// paused: 1
// receipt of d, printed
