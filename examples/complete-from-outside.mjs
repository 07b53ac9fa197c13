// @ts-check
/** An activity whose result comes from elsewhere: it gives its task token away and ends; whoever has the token answers. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

/** Stands for another system that works on requests and calls back; it keeps the token with each. */
const desk = /** @type {{ question: string, taskToken: string }[]} */ ([]);

const activities = {
  /** @param {string} question @returns {Promise<string>} */
  async ask(question) {
    desk.push({ question, taskToken: Durable.activity.getContext().taskToken });
    throw new Durable.activity.CompleteAsyncError(); // ends the function; the call stays open
  },
};

/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { ask } = Durable.workflow.proxyActivities({
  startToCloseTimeout: '3 days', // then it is asked again
  retry: { initialInterval: '100ms' },
});

async function approval() {
  return `the desk says: ${await ask('May we ship?')}`;
}

const connection = { class: PGlite };
const worker = { connection, taskQueue: 'desk', workflow: approval, activities };
const first = await Durable.Worker.create(worker);
const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'desk', workflowName: 'approval', args: [] });

/** @param {number} times */
const asked = async (times) => {
  while (desk.length < times) await new Promise((resolve) => setTimeout(resolve, 10));
  return desk[times - 1] ?? { question: '', taskToken: '' };
};

// A failure from outside is retried by the policy of the call.
await client.activity.fail((await asked(1)).taskToken, new Error('nobody is here'));
const { question, taskToken } = await asked(2);
await first.stop(); // the token outlives the worker
await client.activity.complete(taskToken, `${question} Yes.`);
await client.activity.complete(taskToken, 'No.').catch((error) => console.log(`${error.name}: ${error.reason}`));

await Durable.Worker.create(worker);
console.log(await handle.result());
await Durable.shutdown();

// Prints:
// ActivityNotFoundError: finished
// the desk says: May we ship? Yes.
