// @ts-check
/** Steps written in place: activities without a registration, which run where their workflow runs. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

let calls = 0;

/** @param {string} city */
async function forecast(city) {
  // Runs once, however often the workflow is replayed. Retried like any activity.
  const weather = await Durable.workflow.run(
    'ask the weather service',
    async () => {
      calls++;
      if (Durable.activity.getContext().attempt < 3) throw new Error('busy');
      return { city, degrees: 21 };
    },
    { retry: { initialInterval: '50ms' }, startToCloseTimeout: '10s' },
  );
  await Durable.workflow.sleep('100ms');
  const [text, at] = await Promise.all([
    Durable.workflow.run('write', () => `${weather.degrees} degrees in ${weather.city}`),
    Durable.workflow.run('date', () => new Date(0)), // a result is what JSON makes of it
  ]);
  return `${text}, as of ${at}`;
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'weather', workflow: forecast });

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'weather', workflowName: 'forecast', args: ['Oslo'] });
console.log(await handle.result());
console.log(`the service was called ${calls} times`);
await Durable.shutdown();

// Prints:
// 21 degrees in Oslo, as of 1970-01-01T00:00:00.000Z
// the service was called 3 times
