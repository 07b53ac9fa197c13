/**
 * Absurd: tasks of a queue, steps by ctx.step, signals as events. Its package holds no schema: ABSURD_SQL names the file
 * sql/absurd.sql of its repository, of the release that belongs to the package.
 */
import { readFileSync } from 'node:fs';
import { Absurd } from 'absurd-sdk';
import pg from 'pg';

/** More at once made no difference to it, fewer made it slower. */
const CONCURRENCY = 100;
const POLL_SECONDS = 0.02;

/** @param {string} url @returns {Promise<import('../works.mjs').Engine>} */
export async function open(url) {
  const schema = process.env.ABSURD_SQL;
  if (schema === undefined) throw new Error('ABSURD_SQL: the path of sql/absurd.sql of its repository');
  const pool = new pg.Pool({ connectionString: url, max: 20 });
  await pool.query(readFileSync(schema, 'utf8'));
  const app = new Absurd({ db: pool, queueName: 'compare' });
  await app.createQueue('compare');
  app.registerTask({ name: 'sequence' }, async ({ args: [value, steps] }, ctx) => {
    let sum = value;
    for (let step = 0; step < steps; step++) sum = await ctx.step(`addOne ${step}`, async () => sum + 1);
    return sum;
  });
  app.registerTask({ name: 'wide' }, async ({ args: [width] }, ctx) => {
    const one = (index) => ctx.step(`addOne ${index}`, async () => index + 1);
    return (await Promise.all(Array.from({ length: width }, (_, index) => one(index)))).length;
  });
  app.registerTask({ name: 'listener' }, async (_, ctx) => ctx.awaitEvent(`go ${ctx.taskID}`));
  const worker = await app.startWorker({ concurrency: CONCURRENCY, pollInterval: POLL_SECONDS });
  return {
    async start(task, args) {
      const { taskID } = await app.spawn(task, { args });
      return {
        id: taskID,
        async result() {
          const snapshot = await app.awaitTaskResult(taskID, { timeout: 300 });
          if (snapshot.state !== 'completed') throw new Error(`${task}: ${JSON.stringify(snapshot)}`);
          return snapshot.result;
        },
      };
    },
    signal: (handle, data) => app.emitEvent(`go ${handle.id}`, data),
    async close() {
      await worker.close();
      await pool.end();
    },
  };
}
