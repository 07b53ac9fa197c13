// @ts-check
/** Ending workflows at once, with everything they have started: from outside, and by another workflow. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const { condition, startChild, terminate, workflowInfo } = Durable.workflow;

/** A team starts its members, and they theirs. @param {number} generations */
async function team(generations) {
  const { workflowId } = workflowInfo();
  if (generations > 0)
    await startChild({ workflowName: 'team', workflowId: `${workflowId}.1`, args: [generations - 1] });
  await condition('the end');
}

/** @param {string} id */
async function manager(id) {
  await terminate(id, { reason: 'the project is over', descend: true });
  try {
    await terminate(id);
  } catch (error) {
    return `${error}`;
  }
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'staff', workflow: { team, manager } });
const client = new Durable.Client({ connection });

await client.workflow.start({ taskQueue: 'staff', workflowName: 'team', workflowId: 'red', args: [2] });
const member = await client.workflow.getHandle('staff', 'team', 'red.1.1');
while ((await member.status().catch(() => 0)) !== 1) await new Promise((resolve) => setTimeout(resolve, 10));

const boss = await client.workflow.start({ taskQueue: 'staff', workflowName: 'manager', args: ['red'] });
console.log(await boss.result());
console.log(`${await member.result({ throwOnError: false })}`);

// The same from outside: resolves when all generations have ended.
const blue = await client.workflow.start({ taskQueue: 'staff', workflowName: 'team', workflowId: 'blue', args: [2] });
await blue.terminate({ descend: true, throw: false });
console.log(`blue: ${(await blue.status()) < 0 ? 'terminated' : 'running'}`);
await Durable.shutdown();

// Prints:
// InactiveJobError: Job red already completed
// TerminatedError: the project is over
// blue: terminated
