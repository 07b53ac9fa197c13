/**
 * graphile-worker: jobs, not workflows. A sequence is a chain of jobs, each of which adds the next one; its result is told
 * within the process, since jobs have none. What it has no word for is left out.
 */
import { randomUUID } from 'node:crypto';
import { Logger, run } from 'graphile-worker';

const CONCURRENCY = 50;

/** @param {string} url @returns {Promise<import('../works.mjs').Engine>} */
export async function open(url) {
  /** @type {Map<string, (value: unknown) => void>} */
  const awaited = new Map();
  const tell = (id, value) => {
    awaited.get(id)?.(value);
    awaited.delete(id);
  };
  const runner = await run({
    connectionString: url,
    concurrency: CONCURRENCY,
    maxPoolSize: CONCURRENCY + 5,
    pollInterval: 500,
    noHandleSignals: true,
    logger: new Logger(() => () => {}),
    taskList: {
      async sequence({ id, args: [value, steps] }, { addJob }) {
        if (steps > 1) await addJob('sequence', { id, args: [value + 1, steps - 1] });
        else tell(id, value + 1);
      },
    },
  });
  return {
    lacks: ['wide', 'listener'],
    async start(task, args) {
      const id = randomUUID();
      const result = new Promise((resolve) => awaited.set(id, resolve));
      await runner.addJob(task, { id, args });
      return { id, result: () => result };
    },
    close: () => runner.stop(),
  };
}
