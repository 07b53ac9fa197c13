// @ts-check
/** What has ended is kept for a while, then archived and pruned. Eight days, in no time. */
import { setTimeout as pause } from 'node:timers/promises';
import { Durable } from 'perdure';
import { TestEnvironment } from 'perdure/testing';

/** @param {string} id */
async function order(id) {
  return `order ${id} is done`;
}

const env = await TestEnvironment.create({ workflow: order });
const { client, connection } = env;
// Called before an execution goes; when it throws, the execution stays.
await Durable.Worker.create({
  connection: /** @type {any} */ (connection),
  taskQueue: 'archive',
  workflow: order,
  options: { logLevel: 'warn' },
  async archive(execution) {
    let entries = 0;
    for await (const _entry of execution.history()) entries++;
    console.log(
      `archived ${execution.workflowId}: ${execution.state}, ${execution.result}, history entries: ${entries}`,
    );
  },
});

const usual = await env.start('order', ['o-1'], { workflowId: 'o-1' }); // seven days
const kept = await env.start('order', ['o-2'], { workflowId: 'o-2', expire: 0 }); // for ever
console.log(await usual.result());
console.log(await kept.result());

await env.advance('8 days');
const { executions } = await client.prune({ olderThan: '30 days', dryRun: true });
console.log(`ended more than 30 days ago: ${executions}`);
while (await isThere()) await pause(50); // workers look every few seconds
console.log('after 8 days o-1 is gone, and its id is free; o-2:', await kept.result());

async function isThere() {
  return await usual.status().then(
    () => true,
    () => false,
  );
}
await env.close();
await Durable.shutdown();

// Prints:
// order o-1 is done
// order o-2 is done
// ended more than 30 days ago: 0
// archived o-1: completed, order o-1 is done, history entries: 1
// after 8 days o-1 is gone, and its id is free; o-2: order o-2 is done
