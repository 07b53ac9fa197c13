// @ts-check
/** An order and its workflow are one commit; a step's writes and its completion are another. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const db = new PGlite();
await db.exec(`
  create table orders (id text primary key, state text not null);
  create table ledger (entry int generated always as identity, what text)`);

/** @param {string} id */
async function settle(id) {
  const { transaction, attempt } = Durable.activity.getContext();
  await transaction.query(`update orders set state = 'settled' where id = $1`, [id]);
  await transaction.query('insert into ledger (what) values ($1)', [`${id}, attempt ${attempt}`]);
  if (attempt === 1) throw new Error('too early'); // nothing of it stays
}

/** @param {string} id */
async function order(id) {
  const { settle } = Durable.workflow.proxyActivities({ transactional: true, retry: { initialInterval: '10ms' } });
  await settle(id);
  return `${id} is settled`;
}

const connection = { class: db };
await Durable.Worker.create({ connection, taskQueue: 'orders', workflow: order, activities: { settle } });
const client = new Durable.Client({ connection });
await client.getHotMeshClient(); // connects: inside a transaction of the same PGlite it is too late for that

/** @param {string} id @param {boolean} inStock */
async function place(id, inStock) {
  return await db.transaction(async (transaction) => {
    await transaction.query(`insert into orders values ($1, 'new')`, [id]);
    const handle = await client.workflow.start({
      taskQueue: 'orders',
      workflowName: 'order',
      workflowId: id,
      args: [id],
      transaction,
    });
    if (!inStock) throw new Error(`${id} is sold out`);
    return handle;
  });
}

const handle = await place('o-1', true);
console.log(await handle.result());
await place('o-2', false).catch((error) => console.log(error.message));

// From psql or a trigger, also part of the transaction it is called in.
await db.query(`insert into orders values ('o-3', 'new')`);
await db.query(`select durable.start_workflow('order', 'orders', '["o-3"]', workflow_id => 'o-3')`);
console.log(await (await client.workflow.getHandle('orders', 'order', 'o-3')).result());

const { rows: ledger } = await db.query('select what from ledger order by entry');
console.log(ledger.map((row) => /** @type {{ what: string }} */ (row).what).join(' | '));
const { rows: orders } = await db.query('select id, state from orders order by id');
console.log(JSON.stringify(orders));
await Durable.shutdown();
await db.close();

// Prints:
// o-1 is settled
// o-2 is sold out
// o-3 is settled
// o-1, attempt 2 | o-3, attempt 2
// [{"id":"o-1","state":"settled"},{"id":"o-3","state":"settled"}]
