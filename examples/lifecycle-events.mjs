// @ts-check
/** A program's publisher hears of what its client and its workers do. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

/** @param {string} name */
async function greet(name) {
  return `Hello ${name}`;
}

const events = {
  /** Called behind the fact, not awaited. @param {import('perdure').SystemEvent} event */
  publish: ({ type }) => console.log(type),
};

const connection = { class: PGlite };
const worker = await Durable.Worker.create({ connection, taskQueue: 'greetings', workflow: greet, events });
const client = new Durable.Client({ connection });
const start = { taskQueue: 'greetings', workflowName: 'greet', workflowId: 'g-1', args: ['you'] };
console.log(await (await client.workflow.start(start)).result());
await worker.stop();
await Durable.shutdown();

// Prints:
// system.engine.durable.deployed
// system.engine.durable.started
// system.worker.greetings.started
// system.workflow.g-1.started
// system.workflow.g-1.completed
// Hello you
// system.worker.greetings.stopped
// system.engine.durable.stopped
