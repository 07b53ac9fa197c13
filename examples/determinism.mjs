// @ts-check
/** Workflow code runs again behind its history: what differs each time is named, with its place; what is shared is refused. */
import { setTimeout as pause } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const activities = {
  /** @param {string} currency */
  async rate(currency) {
    return currency === 'EUR' ? 1.1 : 1;
  },
};

/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { rate } = Durable.workflow.proxyActivities();

async function careless() {
  return Date.now(); // with `warn`, the default, this is said once and works
}

async function careful() {
  return typeof Durable.workflow.now();
}

/** Looks like a good idea: everybody waits for the one who asked first. @type {Promise<number> | undefined} */
let remembered;
let asked = 0;

async function shares() {
  asked++;
  remembered ??= Durable.workflow.condition('open').then(() => rate('EUR'));
  const factor = await remembered; // stands in the history of the first one only
  await Durable.workflow.sleep(1);
  return factor;
}

async function keepsItsOwn() {
  const own = rate('EUR');
  return (await own) + (await own); // as often as it likes
}

const connection = { class: PGlite };
await Durable.Worker.create({
  connection,
  taskQueue: 'code',
  workflow: { careless, careful, shares, keepsItsOwn },
  activities,
  options: { determinism: 'strict' },
});
const client = new Durable.Client({ connection });
/** @param {string} workflowName */
const start = (workflowName) => client.workflow.start({ taskQueue: 'code', workflowName, args: [] });

/** @type {Error} */
const error = await (await start('careless')).result({ throwOnError: false });
console.log(`${error.name}: ${error.message.replace(/, at .*:\d+:\d+\)?/, ', at <file and line>')}`);
console.log(await (await start('careful')).result());

const first = await start('shares');
const second = await start('shares');
while (asked < 2) await pause(5);
await first.signal('open');
const ends = await Promise.all([first, second].map((handle) => handle.result({ throwOnError: false })));
console.log(ends.map((end) => (end instanceof Error ? end.name : end)).sort());
console.log(await (await start('keepsItsOwn')).result());
await Durable.shutdown();

// Prints:
// DeterminismError: Date.now() in a workflow differs in a replay, at <file and line>. Use Durable.workflow.now(), the durable clock
// object
// [ 1.1, 'SharedPromiseError' ]
// 2.2
