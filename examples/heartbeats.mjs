// @ts-check
/** A long activity says how far it came; the next attempt goes on from there, and a silent one is given up. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const activities = {
  /** @param {number} pages */
  async importPages(pages) {
    const { attempt, heartbeat, heartbeatDetails, signal } = Durable.activity.getContext();
    const from = Number(heartbeatDetails ?? 0); // what the last heartbeat of the attempts before said
    console.log(`attempt ${attempt} begins at page ${from}`);
    for (let page = from; page < pages; page++) {
      if (attempt === 1 && page === 3) throw new Error('the connection was cut');
      if (attempt === 2 && page === 5) {
        // Hangs. Nothing is heard of it, so it is aborted when its heartbeatTimeout is over.
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        console.log(`attempt 2: ${signal.reason.message}`);
        throw signal.reason;
      }
      heartbeat(page + 1);
    }
    return `${pages} pages`;
  },
};

/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { importPages } = Durable.workflow.proxyActivities({
  heartbeatTimeout: '500ms',
  scheduleToCloseTimeout: '1 minute', // with all attempts
  retry: { initialInterval: '100ms' },
});

async function importer() {
  return await importPages(8);
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'imports', workflow: importer, activities });

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'imports', workflowName: 'importer', args: [] });
console.log(await handle.result());
await Durable.shutdown();

// Prints:
// attempt 1 begins at page 0
// attempt 2 begins at page 3
// attempt 2: Activity 'importPages' exceeded heartbeatTimeout of 0.5s
// attempt 3 begins at page 5
// 8 pages
