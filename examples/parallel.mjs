// @ts-check
/** Branches run side by side with nothing but promises: all of them, the fastest of them, or one against a deadline. */
import { setTimeout as delay } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const activities = {
  /** @param {string} shop @param {number} ms */
  async askPrice(shop, ms) {
    const { signal } = Durable.activity.getContext(); // aborted when nobody waits any more
    await delay(ms, null, { signal });
    return `${shop} after ${ms} ms`;
  },
};

/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { askPrice } = Durable.workflow.proxyActivities();

async function compare() {
  const all = await Promise.all([askPrice('north', 20), askPrice('south', 10)]);
  const first = await Promise.race([askPrice('slow', 30_000), askPrice('fast', 50)]);
  const deadline = Durable.workflow.sleep('200ms').then(() => 'no answer in time');
  const late = await Promise.race([askPrice('slow', 30_000), deadline]);
  return [all.join(', '), first, late];
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'prices', workflow: compare, activities });

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'prices', workflowName: 'compare', args: [] });
for (const line of /** @type {string[]} */ (await handle.result())) console.log(line);
await Durable.shutdown();

// Prints:
// north after 20 ms, south after 10 ms
// fast after 50 ms
// no answer in time
