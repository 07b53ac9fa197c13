// @ts-check
/** Functions that run inside a workflow, beside its main one: each a thread of its own, sharing the workflow's fields. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

/** @param {string} draft */
async function article(draft) {
  // One hook, whose answer is waited for.
  const verdict = await Durable.workflow.execHook({ taskQueue: 'editors', workflowName: 'review', args: [draft] });

  // Several at once; this one asks two more of the same kind.
  const { legal, brand } = await Durable.workflow.execHookBatch([
    { key: 'legal', options: { taskQueue: 'editors', workflowName: 'review', args: ['legal notice'] } },
    { key: 'brand', options: { taskQueue: 'editors', workflowName: 'review', args: ['brand names'] } },
  ]);

  // Anybody may open more of them while it runs. They share its fields.
  const search = await Durable.workflow.search();
  for (let comments = 0; comments < 2; comments++) await Durable.workflow.condition('commented');
  return { verdict, legal, brand, words: await search.get('words') };
}

/**
 * A hook: its last argument names the signal that its caller waits for.
 *
 * @param {string} text
 * @param {{ signal: string }} answer
 */
async function review(text, { signal }) {
  await Durable.workflow.sleep('50ms'); // it may use whatever workflows use
  await Durable.workflow.signal(signal, `${text}: fine`);
}

/** @param {string} text */
async function comment(text) {
  const search = await Durable.workflow.search();
  await search.incr('words', text.split(' ').length);
  await Durable.workflow.signal('commented');
}

const connection = { class: PGlite };
// A hook runs wherever its function is served, also on another queue.
await Durable.Worker.create({ connection, taskQueue: 'articles', workflow: { article, comment } });
await Durable.Worker.create({ connection, taskQueue: 'editors', workflow: review });

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'articles', workflowName: 'article', args: ['draft'] });
const { workflowId } = handle;
for (const text of ['well done', 'more of this please'])
  await client.workflow.hook({ workflowId, taskQueue: 'articles', workflowName: 'comment', args: [text] });
console.log(await handle.result());

const late = { workflowId, taskQueue: 'articles', workflowName: 'comment', args: ['too late'] };
await client.workflow.hook(late).catch((error) => console.log(`${error.name}: nobody is there any more`));
await Durable.shutdown();

// Prints:
// {
//   verdict: 'draft: fine',
//   legal: 'legal notice: fine',
//   brand: 'brand names: fine',
//   words: '6'
// }
// InactiveJobError: nobody is there any more
