// @ts-check
/** What a workflow keeps beside its code: search fields to be found and counted by, and a document that others can look at. */
import { PGlite } from '@electric-sql/pglite';
import { Durable, Entity, Search } from 'perdure';

/** @param {string[]} items */
async function order(items) {
  const search = await Durable.workflow.search();
  const document = await Durable.workflow.entity();
  await document.set({ state: 'open', items: [], total: 0 });

  // Branches side by side: each call is carried out once, and none is lost.
  await Promise.all(
    items.map(async (item) => {
      await document.append('items', item);
      await document.increment('total', 0.1);
      await search.incr('items', 1);
    }),
  );

  await Durable.workflow.condition('paid');
  await Durable.workflow.enrich({ paid: true });
  return await document.merge({ state: 'paid', shipping: { method: 'post' } });
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'orders', workflow: order });

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({
  taskQueue: 'orders',
  workflowName: 'order',
  workflowId: 'o-1',
  args: [['pen', 'ink', 'paper']],
  entity: 'order', // by which it is found
  search: { data: { customer: 'Ada' } }, // there before its first line runs
});

await handle.signal('paid');
console.log(await handle.result());

const engine = await client.getHotMeshClient(null, 'durable');
console.log(await Search.findAllUserData('o-1', engine));

await Entity.createIndex('order', 'state', engine);
const paid = await Entity.find('order', { state: 'paid', total: { $gte: 0.3 } }, engine);
console.log(paid.map(({ key, status }) => `${key}, status ${status}`));
await Durable.shutdown();

// Prints:
// {
//   items: [ 'pen', 'ink', 'paper' ],
//   state: 'paid',
//   total: 0.3,
//   shipping: { method: 'post' }
// }
// { paid: 'true', items: '3', customer: 'Ada' }
// [ 'hmsh:durable:j:o-1, status 0' ]
