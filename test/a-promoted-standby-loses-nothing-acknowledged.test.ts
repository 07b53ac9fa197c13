/**
 * High availability as docs/high-availability.md sets it up: a primary with a synchronous standby, and connections that name both.
 * Beside it what an asynchronous standby loses, and what stays whole then.
 */
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { Client, Durable, Errors, Worker, workflow } from '../src/index.js';
import {
  faultsOf,
  type LedgerLine,
  makeProgram,
  outcomeOf,
  type ProgramResult,
  randomFrom,
  randomProgram,
  signalsOf,
} from './fixtures/programs.mjs';
import { ReplicatedCluster } from './support/replicated-cluster.js';
import { gate, pause, until } from './support/worker.js';
import { within } from './support/worker-fleet.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
const options = { logLevel: 'silent', parkAfter: 50, leaseDuration: '2s', shutdownGrace: 100 } as const;

describe.each([
  ['Client', { class: pg.Client }],
  ['Pool', { class: pg.Pool, max: 6 }],
])('a synchronous standby that is promoted (%s)', (_, { class: driver, ...pool }) => {
  it('has every start and signal that was acknowledged, and the work goes on by itself', async () => {
    const cluster = await ReplicatedCluster.start('sync');
    const connection = { class: driver, options: { connectionString: cluster.hostList(), ...pool } };
    const ledger: LedgerLine[] = [];
    const { workflows, activities } = makeProgram(Durable, (line) => ledger.push(line));
    const client = new Client({ connection });
    const worker = await Worker.create({ connection, taskQueue: 'test', workflow: workflows, activities, options });
    const random = randomFrom(seed);
    const programs = Array.from({ length: 50 }, () => randomProgram(random, 3, 2));
    const acknowledged: string[] = [];
    const results = Promise.all(
      programs.map(async (node, n) => {
        await pause(n * 80);
        const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'program', args: [node] });
        acknowledged.push(handle.workflowId);
        await Promise.all(signalsOf(node).map((id) => client.workflow.signal(`${handle.workflowId} ${id}`, id)));
        return await handle.result<ProgramResult>();
      }),
    );
    results.catch(() => {});
    for (let failover = 0; failover < 2; failover++) {
      await pause(700);
      await cluster.failOver();
      const known = [...acknowledged];
      const rows = await cluster.sql<{ workflow_id: string }>('select workflow_id from execution');
      expect(known.filter((id) => !rows.some((row) => row.workflow_id === id))).toEqual([]);
      await cluster.rebuildStandby();
    }
    const ended = await within(60_000, results, () => cluster.sql(`select * from thread where state <> 'done'`));
    for (const [n, node] of programs.entries())
      expect(ended[n]?.value, `seed ${seed}, ${JSON.stringify(node)}`).toEqual(outcomeOf(node));
    expect(faultsOf(ledger, ended), `seed ${seed}`).toEqual([]);
    await worker.stop();
    await client.close();
    expect(await cluster.sql('select * from violations()')).toEqual([]);
  });
});

describe('an asynchronous standby that is promoted', () => {
  it('may lack what was acknowledged last: it is as if that had not happened, and what is there is whole', async () => {
    const cluster = await ReplicatedCluster.start('async');
    const connection = { class: pg.Client, options: { connectionString: cluster.hostList() } };
    const ran: string[] = [];
    const blocked = gate<void>();
    const { step } = workflow.proxyActivities<{ step(id: string, n: number): Promise<number> }>();
    const client = new Client({ connection });
    const worker = await Worker.create({
      connection,
      taskQueue: 'test',
      workflow: {
        steps: async (id: string) => {
          const seen = [await step(id, 1)];
          await workflow.condition(`${id} go on`);
          for (const n of [2, 3, 4]) seen.push(await step(id, n));
          return seen;
        },
      },
      activities: {
        async step(id: string, n: number) {
          ran.push(`${id} ${n}`);
          // Held in the old world; the new one runs it again, and then the gate is open.
          if (n === 4) await blocked.passed;
          return n;
        },
      },
      options: { ...options, leaseDuration: '20s', parkAfter: '1 hour' },
    });
    const start = (id: string) =>
      client.workflow.start({ taskQueue: 'test', workflowName: 'steps', workflowId: id, args: [id] });
    const kept = await start('kept');
    await until('it waits for its signal', async () => {
      const [row] = await cluster.sql<{ n: string }>('select count(*) as n from wait');
      return row?.n === '1';
    });
    await untilCaughtUp(cluster);
    await cluster.standby.stop();

    // All of this is acknowledged, and on the primary alone.
    await client.workflow.signal('kept go on', null);
    const lost = await start('lost');
    await until('it has gone on', () => ran.includes('kept 4') && ran.includes('lost 1'));
    await cluster.primary.stop('immediate');
    await cluster.standby.start();
    await cluster.failOver();
    blocked.open();

    await expect(lost.result()).rejects.toBeInstanceOf(Errors.GetStateError);
    // Said again, both happen: neither is known there.
    const again = await start('lost');
    await client.workflow.signal('lost go on', null);
    await client.workflow.signal('kept go on', null);
    expect(await within(40_000, Promise.all([kept.result(), again.result()]), () => ran)).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ]);
    // Its steps behind what the standby had ran again: the worker, which was ahead, believed the database.
    expect(ran.filter((line) => line.startsWith('kept')).sort()).toEqual([1, 2, 2, 3, 3, 4, 4].map((n) => `kept ${n}`));
    await worker.stop();
    await client.close();
    expect(await cluster.sql('select * from violations()')).toEqual([]);
  });
});

async function untilCaughtUp(cluster: ReplicatedCluster): Promise<void> {
  await until('the standby has all', async () => {
    const [row] = await cluster.sql<{ all: boolean }>(
      'select flush_lsn >= pg_current_wal_flush_lsn() as all from pg_stat_replication',
    );
    return row?.all === true;
  });
}
