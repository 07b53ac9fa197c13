// @ts-check
/**
 * A database role that may work on one queue, and what it gets to see of the rest. On a server a worker connects as that role by
 * itself: `Worker.create({ workerCredentials })`. An embedded database has one session, which takes its part here.
 */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const db = new PGlite();
const connection = { class: db };
const client = new Durable.Client({ connection });
await client.deployAndActivate();
await client.workflow.start({ taskQueue: 'payroll', workflowName: 'pay', args: ['Ada', 9000], workflowId: 'pay-ada' });
await client.workflow.start({ taskQueue: 'orders', workflowName: 'ship', args: ['o-1'], workflowId: 'order-1' });

const { roleName } = await Durable.provisionWorkerRole({ connection, streamNames: ['orders', 'orders-activity'] });
for (const role of await Durable.listWorkerRoles({ connection })) console.log(role.roleName, role.streamNames);
await client.close();

await db.exec(`set session authorization ${roleName}`);
await attempt('the table', `select args from durable.execution`);
await attempt(
  'another queue',
  `select * from durable.register_worker('k1', 'me', 1000, '{workflow}', '{payroll}', '{pay}')`,
);
await attempt(
  'its own queue',
  `select worker_no from durable.register_worker('k2', 'me', 9000, '{workflow}', '{orders}', '{ship}')`,
);
await attempt('its work', `select workflow_id from durable.claim(1, 1, '{2}', 10, '{}') where thread_no is not null`);
await attempt('other work', `select workflow_id from durable.claim(1, 2, '{1}', 10, '{}') where thread_no is not null`);
await db.exec('set session authorization postgres');

/** @param {string} what @param {string} sql */
async function attempt(what, sql) {
  const answer = await db.query(sql).then(
    ({ rows }) => JSON.stringify(rows),
    (/** @type {Error} */ error) => error.message,
  );
  console.log(`${what}: ${answer}`);
}

await db.close();

// Prints:
// hmsh_wrk_durable_orders__orders_activity [ 'orders', 'orders-activity' ]
// the table: permission denied for table execution
// another queue: role "hmsh_wrk_durable_orders__orders_activity" may not serve workflows of task queue "payroll". Provision it with stream name "payroll"
// its own queue: [{"worker_no":1}]
// its work: [{"workflow_id":"order-1"}]
// other work: worker 1 does not serve all services it asks for
