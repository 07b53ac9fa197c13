// @ts-check
/** A program as HotMesh's older documentation writes it, beside the same one with the newer names. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const activities = {
  /** @param {string} order */
  async charge(order) {
    return `receipt of ${order}`;
  },
};

/** @param {string} order */
async function older(order) {
  const { charge } = Durable.workflow.proxyActivities({ activities, retryPolicy: { maximumAttempts: 3 } });
  const { workflowId } = Durable.workflow.getContext();
  try {
    const receipt = await charge(order);
    await Durable.workflow.sleepFor('10ms');
    const paid = await Durable.workflow.waitFor(`paid-${order}`);
    const shipped = await Durable.workflow.execChild({ workflowName: 'ship', args: [order] });
    await Durable.workflow.interrupt(`reminder-${order}`, { reason: 'paid', suppress: true });
    return [workflowId, receipt, paid, shipped];
  } catch (error) {
    if (Durable.workflow.didInterrupt(error)) throw error; // may stay: nothing is thrown to suspend
    throw error;
  }
}

/** @param {string} order */
async function newer(order) {
  const { charge } = Durable.workflow.proxyActivities({ activities, retry: { maximumAttempts: 3 } });
  const { workflowId } = Durable.workflow.workflowInfo();
  const receipt = await charge(order);
  await Durable.workflow.sleep('10ms');
  const paid = await Durable.workflow.condition(`paid-${order}`, '1 day');
  const shipped = await Durable.workflow.executeChild({ workflowName: 'ship', args: [order] });
  await Durable.workflow.terminate(`reminder-${order}`, { reason: 'paid', suppress: true });
  return [workflowId, receipt, paid, shipped];
}

/** @param {string} order */
async function ship(order) {
  return `${order} shipped`;
}

async function asksForMore() {
  const options = /** @type {{}} */ ({ role: 'reviewer', timeout: '1 day' });
  await Durable.workflow.condition('review', options);
}

/** Seen from outside; `WorkflowInterceptor` is the older name of its type. @type {import('perdure').WorkflowInterceptor} */
const counts = {
  async execute(context, next) {
    begun.push(context.get('workflowName'));
    return await next();
  },
};
/** @type {string[]} */
const begun = [];
Durable.registerInterceptor(counts);

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'orders', workflow: { older, newer, ship, asksForMore } });
const client = new Durable.Client({ connection });
for (const workflowName of ['older', 'newer']) {
  const id = `o-${workflowName}`;
  const handle = await client.workflow.start({
    taskQueue: 'orders',
    workflowName,
    workflowId: id,
    args: [id],
    expire: 60,
  });
  await client.workflow.signal(`paid-${id}`, { by: 'card' });
  console.log(await handle.result());
}
console.log(begun);

// What is not there yet says so.
const handle = await client.workflow.start({
  taskQueue: 'orders',
  workflowName: 'asksForMore',
  args: [],
  config: { maximumAttempts: 0 },
});
const refused = /** @type {Error} */ (await handle.result({ throwOnError: false }));
console.log(refused.message.split(';')[0]);
await Durable.shutdown();

// Prints:
// [ 'o-older', 'receipt of o-older', { by: 'card' }, 'o-older shipped' ]
// [ 'o-newer', 'receipt of o-newer', { by: 'card' }, 'o-newer shipped' ]
// [ 'older', 'ship', 'newer', 'ship' ]
// condition: an escalation (role) cannot be asked for yet
