// @ts-check
/** A workflow waits for a person, but not for ever. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

/** @typedef {{ by: string }} Approval */

/** @param {string} deadline */
async function publish(deadline) {
  /** @type {Approval | false} */
  const approval = await Durable.workflow.condition('approved', deadline);
  return approval === false ? 'nobody approved in time' : `approved by ${approval.by}`;
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'articles', workflow: publish });

const client = new Durable.Client({ connection });
/** @param {string} deadline */
const start = (deadline) => client.workflow.start({ taskQueue: 'articles', workflowName: 'publish', args: [deadline] });

const read = await start('2 days');
await read.signal('approved', { by: 'Ada' }); // kept, should the workflow not wait yet
console.log(await read.result());

const unread = await start('1 second');
console.log(await unread.result());
await Durable.shutdown();

// Prints:
// approved by Ada
// nobody approved in time
