import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { Client, Worker, type WorkerTuning, workflow } from '../src/index.js';
import { randomFrom, randomProgram } from './fixtures/programs.mjs';
import { startPrivateCluster } from './support/private-cluster.js';
import { Engine, kept, pause, until } from './support/worker.js';
import { Fleet, within } from './support/worker-fleet.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

describe('three processes', () => {
  it.each<[string, WorkerTuning]>([
    ['as they are', {}],
    ['parking at once, forgetting all', { parkAfter: 0, maxCachedWorkflows: 0 }],
    ['parking at once, remembering', { parkAfter: 0 }],
    ['without notifications', { notifications: false }],
    ['doing little at a time', { maxConcurrentWorkflows: 3, maxConcurrentActivities: 1 }],
  ])('(%s) share programs, and nothing runs twice', async (_, tuning) => {
    const engine = await Engine.withoutWorker(kept);
    // The lease is long: only what the processes do to each other is tested here.
    const fleet = new Fleet({ url: engine.database.url, tuning: { leaseDuration: '30s', ...tuning } });
    await Promise.all([fleet.add(), fleet.add(), fleet.add()]);
    const random = randomFrom(seed);
    const programs = Array.from({ length: 40 }, () => randomProgram(random, 3));
    const results = await within(60_000, Promise.all(programs.map((node) => fleet.run(engine.client, node))), () =>
      engine.sql(`select * from thread where state <> 'done'`),
    );
    fleet.expectOutcomes(programs, results, seed);
    expect(fleet.repeats).toBe(0);
    await engine.expectNoViolations();
    await Promise.all(
      fleet.workers.map(async (worker) => {
        worker.kill('SIGTERM');
        expect(await worker.exited).toEqual({ code: null, signal: 'SIGTERM' });
      }),
    );
    await engine.close();
  });

  it('may be replaced one after the other while they work (a rolling restart): nothing runs twice', async () => {
    const engine = await Engine.withoutWorker(kept);
    const fleet = new Fleet({
      url: engine.database.url,
      tuning: { leaseDuration: '30s', shutdownGrace: '20s', parkAfter: 50 },
    });
    await Promise.all([fleet.add(), fleet.add()]);
    const random = randomFrom(seed + 1);
    const programs = Array.from({ length: 60 }, () => randomProgram(random, 3, 2));
    const results = Promise.all(
      programs.map(async (node, n) => {
        await pause(n * 80);
        return await fleet.run(engine.client, node);
      }),
    );
    results.catch(() => {});
    for (const worker of fleet.workers) {
      await pause(700);
      await fleet.add();
      worker.kill('SIGTERM');
      expect(await worker.exited).toEqual({ code: null, signal: 'SIGTERM' });
    }
    const ended = await within(60_000, results, () => engine.sql(`select * from thread where state <> 'done'`));
    fleet.expectOutcomes(programs, ended, seed);
    expect(fleet.repeats).toBe(0);
    await Promise.all(
      fleet.workers.map(async (worker) => {
        worker.kill('SIGTERM');
        await worker.exited;
      }),
    );
    await engine.close();
  });
});

/** Between polls five seconds pass where hints are heard, one where they are not: 3 s is far from both. */
describe('what one process does', () => {
  const sooner = 3_000;

  it.each([true, false])(
    'another hears of long before it would stumble on it (notifications: %s)',
    async (notifications) => {
      const engine = await Engine.withoutWorker(kept);
      const fleet = new Fleet({
        url: engine.database.url,
        tuning: { leaseDuration: '30s', parkAfter: 0, notifications },
      });
      await fleet.add();
      await pause(3_000); // nothing to do for a while: it polls seldom
      const took: { started: number[]; signalled: number[] } = { started: [], signalled: [] };
      for (let n = 0; n < 3; n++) {
        let since = Date.now();
        await fleet.run(engine.client, ['seq', ['wait', 'a'], ['step', 'b']]);
        took.started.push(Date.now() - since);
        const handle = await engine.start('program', [['wait', 'late']]);
        await engine.awaitsSignal(handle, `${handle.workflowId} late`);
        await until('it is parked', async () => {
          const [row] = await engine.sql<{ state: string }>(
            'select t.state from thread t join execution e using (run_no) where e.workflow_id = $1',
            [handle.workflowId],
          );
          return row?.state === 'parked';
        });
        since = Date.now();
        await handle.signal(`${handle.workflowId} late`, 'x');
        await engine.result(handle);
        took.signalled.push(Date.now() - since);
      }
      // The quickest of three: a machine that is busy for a moment is no reason.
      expect(Math.min(...took.started), `${took.started}`).toBeLessThan(sooner);
      expect(Math.min(...took.signalled), `${took.signalled}`).toBeLessThan(sooner);
      await fleet.killAll();
      await engine.expectNoViolations();
      await engine.close();
    },
  );
});

describe('connections that are all taken', () => {
  it('are waited for', async () => {
    const cluster = await startPrivateCluster({ settings: { max_connections: 12, superuser_reserved_connections: 0 } });
    const options = { connectionString: cluster.url };
    const taken: pg.Client[] = [];
    const take = async () => {
      for (;;) {
        const client = new pg.Client(options);
        client.on('error', () => {});
        try {
          await client.connect();
          taken.push(client);
        } catch {
          return;
        }
      }
    };
    const free = async () => {
      await Promise.all(taken.splice(0).map((client) => client.end()));
    };
    await take();
    const connection = { class: pg.Client, options };
    const client = new Client({ connection });
    const creating = Worker.create({
      connection,
      taskQueue: 'test',
      workflow: { nap: async (ms: number) => await workflow.sleep(ms) },
      options: { logLevel: 'silent', shutdownGrace: 100, leaseDuration: '20s' },
    });
    const starting = client.workflow.start({ taskQueue: 'test', workflowName: 'nap', args: [50] });
    await pause(800);
    await free();
    const worker = await creating;
    expect(await within(60_000, (await starting).result(), () => 'hangs')).toBe(0.05);
    // And again while it works: what it has it keeps; what it lacks it waits for.
    await take();
    const more = Array.from({ length: 5 }, async () => {
      const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'nap', args: [20] });
      return await handle.result();
    });
    await pause(500);
    await free();
    expect(await within(60_000, Promise.all(more), () => 'hangs')).toEqual(Array(5).fill(0.02));
    await worker.stop();
    await client.close();
    await until('all connections are gone', async () => {
      const sql = new pg.Client(options);
      await sql.connect();
      const { rows } = await sql.query(
        `select count(*)::int as n from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`,
      );
      const { rows: violations } = await sql.query('select * from durable.violations()');
      await sql.end();
      expect(violations).toEqual([]);
      return rows[0]?.n === 0;
    });
  });
});
