// @ts-check
/** A durable call belongs to the workflow whose code makes it. A callback that lost its workflow says so; binding it mends that. */
import { AsyncResource } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

/** Something of this process that workflows listen to. It rings outside of all of them. */
const bell = new EventEmitter();

/** @param {boolean} bind */
async function answers(bind) {
  const answer = () => Durable.workflow.run('answer', () => 'who is there?');
  return await new Promise((resolve) => {
    const heard = () =>
      answer().then(resolve, (/** @type {Error} */ error) => resolve(`${error.name}: ${error.message}`));
    bell.once('ring', bind ? AsyncResource.bind(heard) : heard);
  });
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'doors', workflow: answers });
const client = new Durable.Client({ connection });
/** @param {boolean} bind */
const start = (bind) => client.workflow.start({ taskQueue: 'doors', workflowName: 'answers', args: [bind] });

const handles = [await start(false), await start(true)];
while (bell.listenerCount('ring') < handles.length) await pause(5);
bell.emit('ring');
for (const handle of handles) console.log(await handle.result());

// Outside of any workflow it is the same error.
console.log(await Durable.workflow.sleep('1s').catch((error) => error.name));
await Durable.shutdown();

// Prints:
// WorkflowContextError: answer: called outside of a workflow. Call it from a function that a worker runs; wrap the callback of an event emitter, a queue or a timer with AsyncResource.bind
// who is there?
// WorkflowContextError
