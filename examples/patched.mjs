// @ts-check
/**
 * Code changes while workflows run. A change behind `patched` leaves runs begun with the old code on the old way, so that
 * they replay as they were, and sends everything new the new way.
 */
import { EventEmitter, once } from 'node:events';
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const post = new EventEmitter();
const activities = {
  async sendEmail() {
    post.emit('sent');
    return 'by e-mail';
  },
  async sendText() {
    return 'by text message';
  },
};

/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { sendEmail, sendText } = Durable.workflow.proxyActivities();
const { condition, patched } = Durable.workflow;

/** As it was deployed first. */
async function notifyOld() {
  const how = await sendEmail();
  await condition('read');
  return how;
}

/** As it is deployed later. */
async function notifyNew() {
  const how = (await patched('text-messages')) ? await sendText() : await sendEmail();
  await condition('read');
  return how;
}

const connection = { class: PGlite };
const client = new Durable.Client({ connection });

/** @param {() => Promise<string>} notify */
const deploy = (notify) =>
  Durable.Worker.create({ connection, taskQueue: 'notices', workflow: { notify }, activities });
const start = () => client.workflow.start({ taskQueue: 'notices', workflowName: 'notify', args: [] });

const oldWorker = await deploy(notifyOld);
const sent = once(post, 'sent');
const before = await start();
await sent;
await oldWorker.stop();

await deploy(notifyNew);
const after = await start();
for (const handle of [before, after]) await handle.signal('read');
console.log(`begun before: ${await before.result()}`);
console.log(`begun after: ${await after.result()}`);
await Durable.shutdown();

// Prints:
// begun before: by e-mail
// begun after: by text message
