import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { Client, type ConnectionOptions, Durable, Worker, type WorkerTuning } from '../src/index.js';
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
import { havePooler, startPooler } from './support/worker-pooler.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

/** Programs run to their outcome over this connection, with nothing run twice. */
async function works(
  engine: Engine,
  connection: ConnectionOptions,
  options: WorkerTuning = {},
  trouble: () => Promise<void> = async () => {},
): Promise<void> {
  const ledger: LedgerLine[] = [];
  const { workflows, activities } = makeProgram(Durable, (line) => ledger.push(line));
  const client = new Client({ connection });
  const tuning = { logLevel: 'silent', parkAfter: 50, leaseDuration: '20s', shutdownGrace: 100, ...options };
  const serve = () =>
    Worker.create({ connection, taskQueue: 'test', workflow: workflows, activities, options: tuning });
  const worker = await serve();
  const random = randomFrom(seed);
  const programs = Array.from({ length: 30 }, () => randomProgram(random, 3));
  const [results] = await Promise.all([
    Promise.all(
      programs.map(async (node, n) => {
        await pause(n * 20);
        const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'program', args: [node] });
        await Promise.all(signalsOf(node).map((id) => client.workflow.signal(`${handle.workflowId} ${id}`, id)));
        return await engine.result<ProgramResult>(handle);
      }),
    ),
    trouble(),
  ]);
  for (const [n, node] of programs.entries()) {
    expect(results[n]?.value, `seed ${seed}, ${JSON.stringify(node)}`).toEqual(outcomeOf(node));
  }
  expect(faultsOf(ledger, results), `seed ${seed}`).toEqual([]);
  expect(repeatsIn(ledger)).toBe(0);
  await worker.stop();
  await client.close();
}

describe.skipIf(!havePooler)('PgBouncer in transaction mode', () => {
  it.each([
    ['announced', { pooler: 'transaction' as const }],
    // Found out by the engine itself: a statement that another server connection does not know.
    ['not announced', {}],
  ])('(%s) with fewer server connections than we use', async (_, announced) => {
    const engine = await Engine.withoutWorker(kept);
    const pooler = await startPooler(engine.database.url, 3);
    const connection = {
      class: pg.Client,
      options: { connectionString: pooler.url(engine.database.url) },
      ...announced,
    };
    await works(engine, connection);
    await pooler.remove();
    await engine.close();
  });

  it('may be restarted', async () => {
    const engine = await Engine.withoutWorker(kept);
    const pooler = await startPooler(engine.database.url, 3);
    const connection = {
      class: pg.Pool,
      options: { connectionString: pooler.url(engine.database.url) },
      pooler: 'transaction' as const,
    };
    await works(engine, connection, {}, async () => {
      for (let n = 0; n < 2; n++) {
        await pause(300);
        await pooler.stop();
        await pause(200);
        await pooler.start();
      }
    });
    await pooler.remove();
    await engine.close();
  });
});

describe('what a pooler leaves is enough', () => {
  it('no named statements, no LISTEN', async () => {
    const engine = await Engine.withoutWorker(kept);
    await works(engine, { ...engine.connection, pooler: 'transaction' }, { notifications: false });
    await engine.close();
  });

  it('notifications switched off', async () => {
    const engine = await Engine.withoutWorker(kept);
    await works(engine, engine.connection, { notifications: false });
    await engine.close();
  });

  it.each([1, 2, 3, 10])('a Pool of %s, whose other clients stay the program’s', async (max) => {
    const engine = await Engine.withoutWorker(kept);
    const pool = new pg.Pool({ connectionString: engine.database.url, max });
    await works(engine, { class: pool });
    const { rows } = await pool.query('select 1 as still_mine');
    expect(rows).toEqual([{ still_mine: 1 }]);
    expect(pool.totalCount).toBeLessThanOrEqual(max);
    await pool.end();
    await engine.close();
  });
});
