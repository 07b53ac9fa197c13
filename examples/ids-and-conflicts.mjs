// @ts-check
/** One workflow per id: replacing the one that runs, using it, beginning again, signalling it into being; limits in time. */
import { PGlite } from '@electric-sql/pglite';
import { Durable, Errors } from 'perdure';

/** @param {string} user */
async function basket(user) {
  const items = [];
  for (;;) {
    /** @type {string | false} */
    const item = await Durable.workflow.condition(`${user} adds`);
    if (item === 'that is all') return items.join(', ');
    items.push(item);
  }
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'shop', workflow: { basket } });
const client = new Durable.Client({ connection });

const ada = { workflowId: 'basket-ada', taskQueue: 'shop', workflowName: 'basket', args: ['ada'] };
/** @param {string} data */
const adds = (data) => client.workflow.signalWithStart({ ...ada, signalId: 'ada adds', data });

// the first signal starts the basket, the others find it
await adds('tea');
await adds('milk');
const first = await adds('that is all');
console.log(await first.result());

// it has ended: the id is taken, unless we say otherwise
await client.workflow.start(ada).catch((error) => console.log(error.message));
const second = await client.workflow.start({ ...ada, workflowIdReusePolicy: 'ALLOW_DUPLICATE' });

// it runs: we may use it, or put another in its place
const same = await client.workflow.start({ ...ada, workflowIdConflictPolicy: 'USE_EXISTING' });
const third = await client.workflow.start({
  ...ada,
  workflowIdConflictPolicy: 'TERMINATE_EXISTING',
  workflowRunTimeout: '500ms',
});
for (const handle of [second, same]) await handle.result().catch((error) => console.log(error.message));

// nobody adds anything: its time is over
await third.result().catch((error) => console.log(error instanceof Errors.DurableTimeoutError, error.message));
console.log(await first.result()); // a handle keeps to the workflow it was given for
await Durable.shutdown();

// Prints:
// tea, milk
// Duplicate job: basket-ada
// job [basket-ada] interrupted: a later start took its id
// job [basket-ada] interrupted: a later start took its id
// true Job basket-ada exceeded its workflowRunTimeout of 0.5s
// tea, milk
