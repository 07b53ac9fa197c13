// @ts-check
/** A workflow without end keeps its history short: now and then it begins anew, with what it has to remember as arguments. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const VISITS_PER_RUN = 2;

/** @param {number} total */
async function count(total) {
  for (let visits = 0; visits < VISITS_PER_RUN; visits++) {
    const visit = await Durable.workflow.condition('visit');
    if (visit === 'closing time') return `${total} visits, in ${Durable.workflow.workflowInfo().run + 1} runs`;
    total++;
  }
  return Durable.workflow.continueAsNew(total); // never returns; signals that were not consumed go along
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'museum', workflow: count });

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'museum', workflowName: 'count', args: [0] });
for (let visitor = 1; visitor <= 5; visitor++) await handle.signal('visit', `visitor ${visitor}`);
await handle.signal('visit', 'closing time');
console.log(await handle.result()); // a handle follows from run to run
await Durable.shutdown();

// Prints:
// 5 visits, in 3 runs
