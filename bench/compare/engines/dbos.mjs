/** DBOS: workflows started directly, steps by runStep, signals as messages. Its defaults. */
import { DBOS } from '@dbos-inc/dbos-sdk';

const workflows = {
  sequence: DBOS.registerWorkflow(
    async (value, steps) => {
      let sum = value;
      for (let step = 0; step < steps; step++) sum = await DBOS.runStep(async () => sum + 1, { name: 'addOne' });
      return sum;
    },
    { name: 'sequence' },
  ),
  wide: DBOS.registerWorkflow(
    async (width) => {
      const one = (index) => DBOS.runStep(async () => index + 1, { name: 'addOne' });
      return (await Promise.all(Array.from({ length: width }, (_, index) => one(index)))).length;
    },
    { name: 'wide' },
  ),
  listener: DBOS.registerWorkflow(async () => DBOS.recv('go', 60), { name: 'listener' }),
};

/** @param {string} url @returns {Promise<import('../works.mjs').Engine>} */
export async function open(url) {
  DBOS.setConfig({ name: 'compare', systemDatabaseUrl: url, logLevel: 'error' });
  await DBOS.launch();
  return {
    async start(workflow, args) {
      const handle = await DBOS.startWorkflow(workflows[workflow])(...args);
      return { id: handle.workflowID, result: () => handle.getResult() };
    },
    signal: (handle, data) => DBOS.send(handle.id, data, 'go'),
    close: () => DBOS.shutdown(),
  };
}
