// @ts-check
/** Failures travel as real errors: from an activity to its workflow, from a child to its parent, and to whoever awaits. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const { ApplicationFailure, DurableFatalError } = Durable.Errors;

class OutOfStock extends Error {
  /** @param {string} sku */
  constructor(sku) {
    super(`${sku} is out of stock`);
    this.name = 'OutOfStock';
    this.sku = sku;
  }
}

const activities = {
  /** @param {string} sku */
  async reserve(sku) {
    // Tried again it would fail again: so it says that it is final.
    throw new ApplicationFailure(`cannot reserve ${sku}`, { nonRetryable: true, cause: new OutOfStock(sku) });
  },
};

/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { reserve } = Durable.workflow.proxyActivities();

/** @param {string} sku */
async function pick(sku) {
  await reserve(sku);
}

/** @param {string} sku */
async function order(sku) {
  try {
    await Durable.workflow.executeChild({ workflowName: 'pick', args: [sku] });
  } catch (error) {
    // The child's failure, of its class, with the activity's failure in its causes.
    const causes = [];
    for (let at = error; at instanceof Error; at = at.cause) causes.push(`${at.name}: ${at.message}`);
    console.log(causes.join('\n  because of '));
    throw new DurableFatalError(`no order without ${sku}`);
  }
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'shop', workflow: { order, pick }, activities });
const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'shop', workflowName: 'order', args: ['lamp'] });

/** @type {import('perdure').Errors.DurableFatalError} */
const error = await handle.result({ throwOnError: false });
console.log(error instanceof DurableFatalError, error.code, error.message);
await Durable.shutdown();

// Prints:
// DurableFatalError: cannot reserve lamp
//   because of ApplicationFailure: cannot reserve lamp
//   because of OutOfStock: lamp is out of stock
// true 598 no order without lamp
