// @ts-check
/**
 * Calls that are cancelled together: a limit in time for some of a workflow, calling off those who were asked in vain, and
 * a part that nothing disturbs. Timers are disarmed, activities aborted, children asked to cancel.
 */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const { CancellationScope, condition, executeChild, isCancellation, sleep } = Durable.workflow;

const activities = {
  /** @param {string} supplier */
  async pay(supplier) {
    return `paid ${supplier}`;
  },
};
/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { pay } = Durable.workflow.proxyActivities();

/** A supplier answers when it can. @param {string} supplier @param {number} ms */
async function quote(supplier, ms) {
  await sleep(ms);
  return supplier;
}

async function purchase() {
  // Whoever answers first; the others are called off.
  const asking = new CancellationScope();
  const answers = [
    asking.run(() => executeChild({ workflowName: 'quote', args: ['slow & sons', 3_600_000] })),
    asking.run(() => executeChild({ workflowName: 'quote', args: ['quick inc', 10] })),
  ];
  const supplier = await Promise.race(answers);
  asking.cancel();
  const [slow] = await Promise.allSettled(answers);
  if (slow?.status === 'rejected') console.log(`slow & sons: ${slow.reason.message}`);

  // So long, and no longer.
  try {
    await CancellationScope.withTimeout(50, () => condition('approved'));
  } catch (error) {
    if (!isCancellation(error)) throw error;
    console.log('nobody objected in time');
  }

  // Whatever is cancelled meanwhile: this is finished.
  return await CancellationScope.nonCancellable(() => pay(`${supplier}`));
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'purchasing', workflow: { purchase, quote }, activities });

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'purchasing', workflowName: 'purchase', args: [] });
console.log(await handle.result());
await Durable.shutdown();

// Prints:
// slow & sons: Cancellation scope cancelled
// nobody objected in time
// paid quick inc
