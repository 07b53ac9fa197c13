// @ts-check
/** A workflow tells how far it is; whoever listens goes on where it left off. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

/** @param {string} orderId */
async function pack(orderId) {
  for (let box = 1; box <= 4; box++) {
    await Durable.workflow.sleep(10); // the packing
    // Part of this step's commit: it is there if and only if the step is.
    await Durable.workflow.emit({ 'order.progress': { orderId, box } });
  }
  await Durable.workflow.emit({ 'order.packed': { orderId } });
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'orders', workflow: pack });

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'orders', workflowName: 'pack', args: ['o-1'] });
const { workflowId } = handle;

/** Listens from a position on until an event is the last one it wants. @returns the position to go on from.
 * @param {number} from
 * @param {(topic: string, data: any) => boolean} isLast */
async function listen(from, isLast) {
  const subscription = await client.workflow.subscribe({ workflowId, pattern: 'order.*', from }, (event) => {
    console.log(event.topic, event.data);
    if (isLast(event.topic, event.data)) subscription.unsubscribe();
  });
  await subscription.ended;
  return subscription.position;
}

const position = await listen(0, (_topic, { box }) => box === 2);
console.log('-- this browser was closed; the next one goes on behind that position');
await listen(position, (topic) => topic === 'order.packed');
await handle.result();
await Durable.shutdown();

// Prints:
// order.progress { orderId: 'o-1', box: 1 }
// order.progress { orderId: 'o-1', box: 2 }
// -- this browser was closed; the next one goes on behind that position
// order.progress { orderId: 'o-1', box: 3 }
// order.progress { orderId: 'o-1', box: 4 }
// order.packed { orderId: 'o-1' }
