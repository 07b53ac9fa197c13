// @ts-check
/** Finding workflows among many, in TypeScript and in SQL, and asking one why it is not moving. */
import { setTimeout as pause } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

/** @param {string} id */
async function order(id) {
  await Durable.workflow.executeChild({
    taskQueue: 'orders',
    workflowName: 'delivery',
    workflowId: `${id}-delivery`,
    args: [],
  });
}

async function delivery() {
  await Durable.workflow.condition('picked-up');
}

const db = new PGlite();
const connection = { class: db };
const options = { parkAfter: 0 }; // at once, so that this program need not wait
await Durable.Worker.create({ connection, taskQueue: 'orders', workflow: { order, delivery }, options });

const client = new Durable.Client({ connection });
await client.workflow.createSearchIndex('customer'); // before there are many
for (const [n, customer] of ['Ada', 'Grace', 'Ada'].entries()) {
  const workflowId = `o-${n}`;
  await client.workflow.start({
    taskQueue: 'orders',
    workflowName: 'order',
    workflowId,
    args: [workflowId],
    search: { data: { customer } },
  });
}

const { executions, cursor } = await client.workflow.list(
  { search: { customer: 'Ada' }, status: 'open' },
  { limit: 1 },
);
console.log(
  executions.map(({ workflowId }) => workflowId),
  cursor === null ? 'no more' : 'and more',
);
for await (const { workflowId, search } of client.workflow.list({ workflowName: 'order' }))
  console.log(workflowId, search);
console.log(await client.workflow.count({ workflowName: 'order', status: 'open' }), 'open orders');

// Beside the rows of the application, in one query.
await db.exec(
  `create table customer (name text, city text); insert into customer values ('Ada', 'London'), ('Grace', 'New York')`,
);
console.log(
  await client.workflow.search(
    'orders',
    'order',
    null,
    'sql',
    `select w.workflow_id, c.city from durable.workflows w join customer c on c.name = w.search ->> 'customer'
     where c.city = $1 order by 1`,
    'London',
  ),
);

const handle = await client.workflow.getHandle('orders', 'order', 'o-1');
let why = await handle.explain();
while (why.reason !== 'child' || why.waitsFor[0]?.of?.reason !== 'signal') {
  await pause(50); // until both have come to rest
  why = await handle.explain();
}
console.log(why.reason, why.waitsFor[0].of.reason);
console.log(why.message);
await Durable.shutdown();
await db.close();

// Prints:
// [ 'o-2' ] and more
// o-2 { customer: 'Ada' }
// o-1 { customer: 'Grace' }
// o-0 { customer: 'Ada' }
// 3 open orders
// [
//   { workflow_id: 'o-0', city: 'London' },
//   { workflow_id: 'o-2', city: 'London' }
// ]
// child signal
// "o-1" waits for child "o-1-delivery", which waits for signal "picked-up", which nobody has sent.
