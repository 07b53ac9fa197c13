// @ts-check
/** A workflow runs others and waits for them. Each has a history, retries and a handle of its own; a failure arrives as a throw. */
import { PGlite } from '@electric-sql/pglite';
import { Durable, Errors } from 'perdure';

/** @param {string[]} parcels */
async function deliver(parcels) {
  const deliveries = parcels.map((parcel) =>
    Durable.workflow.executeChild({ workflowName: 'ship', workflowId: `ship-${parcel}`, args: [parcel] }),
  );
  const outcomes = await Promise.allSettled(deliveries);
  return outcomes.map((outcome) =>
    outcome.status === 'fulfilled' ? outcome.value : `failed: ${outcome.reason.message}`,
  );
}

/** @param {string} parcel */
async function ship(parcel) {
  await Durable.workflow.sleep('100ms');
  if (parcel === 'piano') throw new Errors.DurableFatalError('too heavy'); // any other error would be retried
  return `${parcel} shipped`;
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'parcels', workflow: { deliver, ship } });

const client = new Durable.Client({ connection });
const args = [['book', 'piano']];
const handle = await client.workflow.start({ taskQueue: 'parcels', workflowName: 'deliver', args });
for (const line of /** @type {string[]} */ (await handle.result())) console.log(line);

// A child is a workflow like any other, and can be asked by its id.
const child = await client.workflow.getHandle('parcels', 'ship', 'ship-book');
console.log(`the child says: ${await child.result()}`);
await Durable.shutdown();

// Prints:
// book shipped
// failed: too heavy
// the child says: book shipped
