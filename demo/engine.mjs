// @ts-check
/**
 * The process that gets killed. As a worker it runs workflows and activities; as the desk it places orders, approves them
 * and tells the supervisor how they end. On PGlite one process is both. It remembers nothing that it could not lose.
 */
import { parseArgs } from 'node:util';
import { Durable } from 'perdure';
import * as activities from './activities.mjs';
import { connectionFromEnv, namespace } from './database.mjs';
import { answerQuestions, place } from './desk.mjs';
import { Ledger } from './ledger.mjs';
import * as workflows from './workflows.mjs';

/** What becomes of an order. @typedef {{ record?: import('./workflows.mjs').OrderRecord, error?: string }} Ending */
/** What this process tells. @typedef {{ event: 'ready' } | { event: 'ended', order: number, ending: Ending }} Message */

const { values } = parseArgs({
  options: {
    worker: { type: 'boolean', default: false },
    desk: { type: 'boolean', default: false },
    orders: { type: 'string', default: '200' },
  },
});

process.once('disconnect', () => process.exit()); // the supervisor has gone
const connection = await connectionFromEnv();

if (values.worker) {
  await Durable.Worker.create({
    connection,
    namespace,
    taskQueue: 'orders',
    workflow: workflows,
    activities,
    options: { maxConcurrentActivities: 25, leaseDuration: '3s', logLevel: 'warn' },
  });
}
tell({ event: 'ready' });
if (values.desk) await serveCustomers(Number(values.orders));

/** @param {number} count */
async function serveCustomers(count) {
  const client = new Durable.Client({ connection, namespace });
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const handles = await Promise.all(numbers.map((number) => place(client, number)));

  const answering = answerQuestions(client, new Ledger());
  const waiting = handles.map(async (handle, index) => {
    const order = Number(numbers[index]);
    try {
      tell({ event: 'ended', order, ending: { record: await handle.result() } });
    } catch (error) {
      tell({ event: 'ended', order, ending: { error: String(error) } });
    }
  });
  await Promise.race([answering, Promise.all(waiting)]);
}

/** @param {Message} message */
function tell(message) {
  process.send?.(message);
}
