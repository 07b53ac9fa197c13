import pg from 'pg';
import { expect, it } from 'vitest';
import { Client, Durable, Worker } from '../src/index.js';
import {
  faultsOf,
  type LedgerLine,
  makeProgram,
  outcomeOf,
  type ProgramResult,
  randomFrom,
  randomProgram,
  repeatsIn,
  signalsOf,
} from './fixtures/programs.mjs';
import { Engine, kept, pause } from './support/worker.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

it.each([
  ['Client', {}],
  ['Pool', { max: 4 }],
])('all backends are ended over and over (%s): nothing is lost, nothing runs twice', async (driver, options) => {
  const engine = await Engine.withoutWorker(kept);
  const connection = {
    class: driver === 'Pool' ? pg.Pool : pg.Client,
    options: { connectionString: engine.database.url, ...options },
  };
  const ledger: LedgerLine[] = [];
  const { workflows, activities } = makeProgram(Durable, (line) => ledger.push(line));
  const client = new Client({ connection });
  const worker = await Worker.create({
    connection,
    taskQueue: 'test',
    workflow: workflows,
    activities,
    // The lease outlasts the trouble: a connection that breaks is no death.
    options: { logLevel: 'silent', parkAfter: 50, leaseDuration: '30s', shutdownGrace: 100 },
  });
  const random = randomFrom(seed);
  const programs = Array.from({ length: 60 }, () => randomProgram(random, 3, 2));
  let running = true;
  let ended = 0;
  const ending = (async () => {
    for (let last: number | undefined; running; ) {
      await pause(random() * 250);
      // On a busy machine connecting alone may take longer than that, and nothing would ever move.
      const [recorded] = await engine.sql<{ at: Date | null }>('select max(at) as at from history');
      const at = recorded?.at?.getTime();
      if (at === last) continue;
      last = at;
      const rows = await engine.sql(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and application_name like 'perdure%'
            or datname = current_database() and application_name = '' and pid <> pg_backend_pid() and query like '%durable%'`,
      );
      ended += rows.length;
    }
  })();
  const results = await Promise.all(
    programs.map(async (node, n) => {
      await pause(n * 40);
      const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'program', args: [node] });
      await Promise.all(signalsOf(node).map((id) => client.workflow.signal(`${handle.workflowId} ${id}`, id)));
      return await engine.result<ProgramResult>(handle).catch((error: unknown) => {
        throw new Error(`seed ${seed}, ${JSON.stringify(node)}`, { cause: error });
      });
    }),
  ).finally(() => {
    running = false;
  });
  await ending;
  for (const [n, node] of programs.entries()) {
    expect(results[n]?.value, `seed ${seed}, ${JSON.stringify(node)}`).toEqual(outcomeOf(node));
  }
  expect(faultsOf(ledger, results), `seed ${seed}`).toEqual([]);
  expect(repeatsIn(ledger)).toBe(0);
  expect(ended).toBeGreaterThan(10);
  await worker.stop();
  await client.close();
  await engine.close();
});
