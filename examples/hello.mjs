// @ts-check
/** The smallest whole program: a workflow, an activity, a worker that runs them, a client that asks for the result. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const activities = {
  /** @param {string} name */
  async compose(name) {
    return `hello, ${name}`; // an activity may do anything: its result is recorded, once
  },
};

/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { compose } = Durable.workflow.proxyActivities();

/** @param {string} name */
async function greet(name) {
  const greeting = await compose(name);
  return `${greeting}!`;
}

const connection = { class: PGlite }; // in memory; for a database that stays: { class: PGlite, options: { dataDir: '...' } }
await Durable.Worker.create({ connection, taskQueue: 'greetings', workflow: greet, activities });

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'greetings', workflowName: 'greet', args: ['world'] });
console.log(await handle.result());
await Durable.shutdown();

// Prints:
// hello, world!
