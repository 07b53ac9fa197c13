// @ts-check
/** Chance that is the same whenever the code runs again, and what happens once although it does. */
import { setTimeout as pause } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const { random, uuid4, sleep, condition, all, isSideEffectAllowed, didRun, didInterrupt } = Durable.workflow;

/** What each life of the code drew. @type {Map<string, string[]>} */
const drawn = new Map();
let told = 0;

async function lottery() {
  const { workflowId } = Durable.workflow.workflowInfo();
  const lot = JSON.stringify([random(), uuid4(), Durable.guid()]);
  drawn.set(workflowId, [...(drawn.get(workflowId) ?? []), lot]);
  if (await isSideEffectAllowed(null, 'tell')) told++; // true once for this place, whatever becomes of the process
  const [behind] = await didRun('place');
  await all(condition('drawn'), sleep('10ms'));
  return { lot, behind: typeof behind };
}

/** Only a cancellation is control flow of the engine; a failure is yours to catch. */
async function gives() {
  try {
    return await Durable.workflow.run('fails', () => Promise.reject(new Error('no luck')), {
      retry: { maximumAttempts: 0 },
    });
  } catch (error) {
    if (didInterrupt(error)) throw error;
    return 'caught';
  }
}

const connection = { class: PGlite };
const serve = () => Durable.Worker.create({ connection, taskQueue: 'luck', workflow: { lottery, gives } });
const client = new Durable.Client({ connection });
/** @param {string} workflowName */
const start = (workflowName) => client.workflow.start({ taskQueue: 'luck', workflowName, args: [] });

const worker = await serve();
const handles = [await start('lottery'), await start('lottery')];
while (told < handles.length) await pause(5);
await worker.stop(); // the next worker runs the code again, behind its history
await serve();
for (const handle of handles) await handle.signal('drawn');
const results = /** @type {{ lot: string }[]} */ (await Promise.all(handles.map((handle) => handle.result())));

const lots = drawn.get(handles[0]?.workflowId ?? '') ?? [];
console.log(`the code ran again: ${lots.length > 1}, and drew the same: ${new Set(lots).size === 1}`);
console.log(`its result is what it drew: ${results[0]?.lot === lots[0]}`);
console.log(`another run drew something else: ${results[1]?.lot !== lots[0]}`);
console.log(`told ${told} times by 2 runs`);
console.log(`a failure is ${await (await start('gives')).result()}`);
await Durable.shutdown();

// Prints:
// the code ran again: true, and drew the same: true
// its result is what it drew: true
// another run drew something else: true
// told 2 times by 2 runs
// a failure is caught
