// @ts-check
/** A client that holds its starts back when much waits, and takes them up again when workers have made room. */
import { setTimeout as pause } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { Durable, Errors } from 'perdure';

const connection = { class: PGlite, options: {} };
const client = new Durable.Client({ connection, options: { maxBacklog: 3 } });
/** @param {number} n */
const start = (n) => client.workflow.start({ taskQueue: 'orders', workflowName: 'order', args: [n] });

/** @param {number} n */
async function order(n) {
  return `order ${n} is done`;
}

// Nobody works yet: three may wait.
for (let n = 1; n <= 4; n++) {
  try {
    await start(n);
    console.log(`order ${n} is taken`);
  } catch (error) {
    if (!(error instanceof Errors.QueueFullError)) throw error;
    console.log(`order ${n} is not: ${error.waiting} wait on "${error.taskQueue}" (${error.code})`);
  }
}

await Durable.Worker.create({ connection, taskQueue: 'orders', workflow: order, options: { logLevel: 'warn' } });
let handle = null;
while (handle === null) {
  handle = await start(4).catch(() => null);
  if (handle === null) await pause(50);
}
console.log(await handle.result());
// None of them ended its process.
console.log('quarantined:', await client.workflow.count({ quarantined: true }));
await Durable.shutdown();

// Prints:
// order 1 is taken
// order 2 is taken
// order 3 is taken
// order 4 is not: 3 wait on "orders" (429)
// order 4 is done
// quarantined: 0
