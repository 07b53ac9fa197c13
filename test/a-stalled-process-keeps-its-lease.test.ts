/** Code that holds up the event loop of its process for longer than the lease: docs/overload.md. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Client, Durable, Worker } from '../src/index.js';
import { watchLines } from './support/log.js';
import { type Fixture, spawnFixture } from './support/process.js';
import { Engine, kept, until } from './support/worker.js';

const LEASE_MS = 3_000;

let engine: Engine;
let dir: string;

beforeEach(async () => {
  engine = await Engine.withoutWorker(kept);
  dir = mkdtempSync(join(tmpdir(), 'perdure-stall-'));
});

afterEach(async () => {
  await engine.close();
  rmSync(dir, { recursive: true });
});

/** A process that stalls until `ends()`. */
async function stallingWorker(tuning: object) {
  const env = {
    URL: engine.database.url,
    LEDGER: join(dir, 'ledger'),
    UNTIL: join(dir, 'until'),
    TUNING: JSON.stringify({ leaseDuration: LEASE_MS, ...tuning }),
  };
  const worker = spawnFixture('stalling-worker.mjs', { env });
  await worker.waitFor(({ type }) => type === 'ready');
  return {
    worker,
    ends: () => writeFileSync(env.UNTIL, ''),
    ledger: () => readFileSync(env.LEDGER, 'utf8').trim().split('\n'),
  };
}

const said = (worker: Fixture, message: string) =>
  worker.waitFor((line) => line.type === 'said' && line.message === message);

/** Of the only worker there is: how long its lease is from now on, by the database's clock. */
async function leaseEnd(): Promise<number> {
  const [row] = await engine.sql<{ ends: number }>(
    'select extract(epoch from max(lease_until))::float8 * 1000 as ends from worker where released_at is null',
  );
  return row?.ends ?? 0;
}

it('its neighbours run once, no other worker takes over, and the log names the activity', async () => {
  const { worker, ends, ledger } = await stallingWorker({});
  const neighbours = await Promise.all(Array.from({ length: 10 }, () => engine.start('steps', [8])));
  await worker.waitFor(({ type, n }) => type === 'works' && n === 2);
  const computing = await engine.start('calls');
  await worker.waitFor(({ type }) => type === 'stalls');
  const leaseAtFirst = await leaseEnd();
  // Whoever would take over is there, and looks for the dead all the time.
  const other = watchLines();
  await engine.addWorker({
    workflow: { elsewhere: async () => {} },
    logger: other.logger,
    options: { logLevel: 'warn' },
  });
  const [stalled] = await engine.sql<{ worker_no: number }>('select min(worker_no) as worker_no from worker');
  await until('the lease was renewed for two leases more', async () => {
    await engine.sql('select reap()');
    const [row] = await engine.sql<{ ends: number; died_at: Date | null }>(
      'select extract(epoch from lease_until)::float8 * 1000 as ends, died_at from worker where worker_no = $1',
      [stalled?.worker_no],
    );
    expect(row?.died_at).toBeNull();
    return (row?.ends ?? 0) > leaseAtFirst + 2 * LEASE_MS;
  });
  ends();
  expect(await said(worker, 'code held up the event loop')).toMatchObject({
    leaseKept: true,
    activityName: 'computes',
    workflowName: 'calls',
    workflowId: computing.workflowId,
  });
  expect(await engine.result(computing)).toBe('computed');
  for (const neighbour of neighbours) expect(await engine.result(neighbour)).toBe(8);
  const runs = ledger();
  expect(runs).toHaveLength(81);
  expect(new Set(runs).size).toBe(81);
  expect(other.said('a worker is dead: what it had goes to others')).toEqual([]);
  expect(
    worker.messages.filter(({ message }) => message === 'the lease was lost; dropping everything and registering anew'),
  ).toEqual([]);
});

it('beyond its limit others take over, and what it commits when it comes back is refused', async () => {
  const { worker, ends } = await stallingWorker({ leaseDuration: 1_000, stallLimit: 500 });
  const handle = await engine.start('stalls');
  await worker.waitFor(({ type }) => type === 'stalls');
  const { work } = Durable.workflow.proxyActivities<{ work(n: number): Promise<void> }>();
  const stalls = async () => {
    await work(0);
    await work(1);
    return 'another';
  };
  await engine.addWorker({ workflow: { stalls }, activities: { work: async () => {} } });
  expect(await engine.result(handle)).toBe('another');
  // It has not ended, and may never: the thread beside the loop says so, once.
  await until('it is said', () => worker.output.includes('perdure error: code has held up the event loop'));
  ends();
  expect(await said(worker, 'code held up the event loop')).toMatchObject({
    leaseKept: false,
    workflowName: 'stalls',
    workflowId: handle.workflowId,
  });
  await said(worker, 'the lease was lost; dropping everything and registering anew');
  expect(worker.output.match(/for longer than stallLimit.*workerNo=\d+ pid=\d+ stallLimitMs=500/g)).toHaveLength(1);
  expect(
    await engine.sql(
      `select from history h join execution e on e.run_no = h.thread_no where h.body like '%the first%'`,
    ),
  ).toEqual([]);
  expect(await engine.result(handle)).toBe('another');
});

it('on an embedded database, which nobody else could take over, nothing is lost either', async () => {
  const { logger, said: lines } = watchLines();
  const runs: string[] = [];
  const { computes, waits } = Durable.workflow.proxyActivities<Record<'computes' | 'waits', () => Promise<void>>>();
  const connection = { class: PGlite, options: {} };
  const worker = await Worker.create({
    connection,
    taskQueue: 'test',
    workflow: {
      calls: async () => void (await Promise.all([waits(), computes()])),
    },
    activities: {
      async computes() {
        runs.push('computes');
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500);
      },
      async waits() {
        runs.push('waits');
        await new Promise((resolve) => setTimeout(resolve, 200));
      },
    },
    logger,
    options: { leaseDuration: '1s', logLevel: 'warn' },
  });
  const client = new Client({ connection });
  const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'calls', args: [] });
  await handle.result();
  expect(runs.sort()).toEqual(['computes', 'waits']);
  expect(lines('the lease was lost; dropping everything and registering anew')).toEqual([]);
  expect(lines('code held up the event loop').map(({ fields }) => fields.leaseKept)).toContain(true);
  await worker.stop();
  await client.close();
});
