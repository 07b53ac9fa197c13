// @ts-check
/** Activities on queues of their own: pools that scale apart, functions of one name that never mix, headers, and who waits how long. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

/** What every pool has: a function of the same name. @param {string} by */
const pool = (by) => ({
  /** @param {string} text */
  async send(text) {
    const { headers, taskQueue, attempt } = Durable.activity.getContext();
    if (text === '') throw new Error(`nothing to send ${by}`);
    return `${text} ${by} for ${headers.tenant} (${taskQueue}, attempt ${attempt})`;
  },
});

/**
 * Each proxy calls the pool of its queue; none of these functions is registered where the workflow runs.
 *
 * @param {string} taskQueue
 * @param {string} [scheduleToStartTimeout] What nobody has begun by then fails.
 */
const of = (taskQueue, scheduleToStartTimeout) =>
  /** @type {import('perdure').ActivityProxy<ReturnType<typeof pool>>} */ (
    Durable.workflow.proxyActivities({
      taskQueue,
      headers: { tenant: 'acme' },
      retry: { maximumAttempts: 0, throwOnError: false },
      ...(scheduleToStartTimeout && { scheduleToStartTimeout }),
    })
  );

async function notify() {
  const [letter, message, empty, nobody] = await Durable.workflow.all(
    of('mail').send('hello'),
    of('text').send('hello'),
    of('mail').send(''),
    of('pigeons', '300ms').send('hello'),
  );
  // With `throwOnError: false` a failure is what the call gives: a real Error.
  return [
    letter,
    message,
    ...[empty, nobody].map((error) => `${/** @type {unknown} */ (error) instanceof Error}: ${error}`),
  ];
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'notices', workflow: notify });
await Durable.registerActivityWorker({ connection, taskQueue: 'mail' }, pool('by letter'));
await Durable.registerActivityWorker({ connection, taskQueue: 'text' }, pool('by text message'));

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'notices', workflowName: 'notify', args: [] });
for (const line of /** @type {string[]} */ (await handle.result())) console.log(line);
await Durable.shutdown();

// Prints:
// hello by letter for acme (mail, attempt 1)
// hello by text message for acme (text, attempt 1)
// true: DurableRetryError: nothing to send by letter
// true: DurableTimeoutError: Activity 'send' exceeded scheduleToStartTimeout of 0.3s
