// @ts-check
/** A cancelled workflow learns of it where it waits, by an error, once. What it does then to clean up runs normally. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const activities = {
  async bookRoom() {
    return 'room 12';
  },
  /** @param {string} room */
  async releaseRoom(room) {
    console.log(`${room} is free again`);
  },
};

/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { bookRoom, releaseRoom } = Durable.workflow.proxyActivities();
const { CancellationScope, isCancellation, sleep } = Durable.workflow;

async function stay() {
  // Not to be interrupted: a cancellation that comes meanwhile reaches the next call.
  const room = await CancellationScope.nonCancellable(() => bookRoom());
  try {
    await sleep('7 days');
  } catch (error) {
    if (isCancellation(error)) await releaseRoom(room);
    throw error; // ends as cancelled; returning a value instead would complete the workflow
  }
  return 'stayed';
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'hotel', workflow: stay, activities });

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'hotel', workflowName: 'stay', args: [] });
await handle.cancel();
try {
  await handle.result();
} catch (error) {
  console.log(`${error}`);
}
await Durable.shutdown();

// Prints:
// room 12 is free again
// CancelledFailure: Workflow cancelled
