// @ts-check
/** A process that may start, signal and await, and never runs anything itself: its connection says so. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

async function greet(/** @type {string} */ name) {
  return `hello ${name}, from the worker`;
}

const db = new PGlite();
const options = { logLevel: 'warn' };
const worker = await Durable.Worker.create({ connection: { class: db }, taskQueue: 'doors', workflow: greet, options });

// As a web server would have it, which shares its code with the worker but must not do its work.
const connection = await Durable.Connection.connect({ class: db, options: {}, readonly: true });
await Durable.Worker.create({
  connection,
  taskQueue: 'doors',
  workflow: async function greet() {
    return 'hello from where it should not run';
  },
  options,
});
const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'doors', workflowName: 'greet', args: ['Ada'] });
console.log(await handle.result());
console.log(await client.workflow.count({ status: 'completed' }), 'completed');

await worker.stop();
await Durable.shutdown();
await db.close();

// Prints:
// hello Ada, from the worker
// 1 completed
