// @ts-check
/** A durable timer: the worker stops while a workflow sleeps, and another one goes on behind the `await`. */
import { rmSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

async function remind() {
  const asleep = Durable.workflow.now();
  await Durable.workflow.sleep('2 seconds'); // or '30 days': sleeping holds nothing but a row
  const awake = Durable.workflow.now();
  return awake.getTime() - asleep.getTime() >= 2_000 ? 'reminded, two seconds later' : 'reminded too early';
}

const dataDir = '.perdure/example-sleep';
rmSync(dataDir, { recursive: true, force: true });
const connection = { class: PGlite, options: { dataDir } };

await Durable.Worker.create({ connection, taskQueue: 'reminders', workflow: remind });
const client = new Durable.Client({ connection });
await client.workflow.start({ taskQueue: 'reminders', workflowName: 'remind', workflowId: 'tea', args: [] });
await Durable.shutdown(); // the workflow is in the database only
console.log('no worker is running');

await Durable.Worker.create({ connection, taskQueue: 'reminders', workflow: remind });
const handle = await client.workflow.getHandle('reminders', 'remind', 'tea');
console.log(await handle.result());
await Durable.shutdown();

// Prints:
// no worker is running
// reminded, two seconds later
