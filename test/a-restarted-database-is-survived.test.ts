import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
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
import { startPrivateCluster } from './support/private-cluster.js';
import { type PostgresProxy, startProxy } from './support/proxy.js';
import { Engine, kept, pause, until } from './support/worker.js';
import { within } from './support/worker-fleet.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

beforeAll(async () => {
  // Opened here: what a test opens ends with it.
  const engine = await Engine.withoutWorker(kept);
  givingUp = giveUp(engine, await startProxy(engine.database.url));
});

async function sqlAt(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

it.each(['immediate', 'fast'] as const)('stop (%s) and start: worker and client go on by themselves', async (mode) => {
  // An unsynced commit would be lost by an operating system's crash, not by the server's.
  const cluster = await startPrivateCluster({ settings: { fsync: 'on' } });
  const connection = { class: pg.Client, options: { connectionString: cluster.url } };
  const ledger: LedgerLine[] = [];
  const { workflows, activities } = makeProgram(Durable, (line) => ledger.push(line));
  const client = new Client({ connection });
  const worker = await Worker.create({
    connection,
    taskQueue: 'test',
    workflow: workflows,
    activities,
    options: { logLevel: 'silent', parkAfter: 50, leaseDuration: '2s', shutdownGrace: 100 },
  });
  const random = randomFrom(seed);
  const programs = Array.from({ length: 60 }, () => randomProgram(random, 3, 2));
  const results = Promise.all(
    programs.map(async (node, n) => {
      await pause(n * 60); // some start while the database is away: their calls wait for it
      const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'program', args: [node] });
      await Promise.all(signalsOf(node).map((id) => client.workflow.signal(`${handle.workflowId} ${id}`, id)));
      return await handle.result<ProgramResult>();
    }),
  );
  for (const ms of [600, 900]) {
    await pause(ms);
    await cluster.stop(mode);
    await pause(ms);
    await cluster.start();
  }
  const ended = await within(40_000, results, () =>
    sqlAt(cluster.url, `select * from durable.thread where state <> 'done'`),
  );
  for (const [n, node] of programs.entries()) {
    expect(ended[n]?.value, `seed ${seed}, ${JSON.stringify(node)}`).toEqual(outcomeOf(node));
  }
  expect(faultsOf(ledger, ended), `seed ${seed}`).toEqual([]);
  await worker.stop();
  await client.close();
  expect(await sqlAt(cluster.url, 'select * from durable.violations()')).toEqual([]);
});

it('a timer that came due meanwhile fires at once; an activity that ended meanwhile is not run again', async () => {
  const cluster = await startPrivateCluster({ settings: { fsync: 'on' } });
  const connection = { class: pg.Client, options: { connectionString: cluster.url } };
  let runs = 0;
  const { outlasts } = workflow.proxyActivities<{ outlasts(): Promise<string> }>();
  const client = new Client({ connection });
  const worker = await Worker.create({
    connection,
    taskQueue: 'test',
    workflow: {
      sleeps: async () => await workflow.sleep(1_000),
      works: async () => await outlasts(),
    },
    activities: {
      outlasts: async () => {
        runs++;
        await pause(700);
        return 'done';
      },
    },
    // Longer than the outage: the worker is not declared dead, and keeps what it has.
    options: { logLevel: 'silent', leaseDuration: '30s', shutdownGrace: 100, parkAfter: 50 },
  });
  const [sleeps, works] = await Promise.all(
    ['sleeps', 'works'].map((workflowName) => client.workflow.start({ taskQueue: 'test', workflowName, args: [] })),
  );
  await until('the activity runs', () => runs === 1);
  await cluster.stop('immediate');
  await pause(1_200);
  await cluster.start();
  const up = Date.now();
  expect(await within(40_000, Promise.all([sleeps?.result(), works?.result()]), () => 'hangs')).toEqual([1, 'done']);
  expect(Date.now() - up).toBeLessThan(20_000);
  expect(runs).toBe(1);
  await worker.stop();
  await client.close();
  expect(await sqlAt(cluster.url, 'select * from durable.violations()')).toEqual([]);
});

it('a partition: nothing arrives and nobody is told; all goes on when it is over', async () => {
  const engine = await Engine.withoutWorker(kept);
  const proxy = await startProxy(engine.database.url);
  const connection = { class: pg.Client, options: { connectionString: proxy.url(engine.database.url) } };
  const ledger: LedgerLine[] = [];
  const { workflows, activities } = makeProgram(Durable, (line) => ledger.push(line));
  const worker = await Worker.create({
    connection,
    taskQueue: 'test',
    workflow: workflows,
    activities,
    options: { logLevel: 'silent', parkAfter: 50, leaseDuration: '1s', shutdownGrace: 100 },
  });
  const random = randomFrom(seed + 1);
  const programs = Array.from({ length: 30 }, () => randomProgram(random, 3, 2));
  const results = Promise.all(
    programs.map(async (node, n) => {
      await pause(n * 40);
      const handle = await engine.start('program', [node]);
      await Promise.all(signalsOf(node).map((id) => engine.client.workflow.signal(`${handle.workflowId} ${id}`, id)));
      return await engine.result<ProgramResult>(handle);
    }),
  );
  for (const ms of [1_600, 400]) {
    await pause(300);
    proxy.blackHole(true);
    await pause(ms);
    proxy.blackHole(false);
  }
  const ended = await results;
  for (const [n, node] of programs.entries()) expect(ended[n]?.value, `seed ${seed}`).toEqual(outcomeOf(node));
  expect(faultsOf(ledger, ended), `seed ${seed}`).toEqual([]);
  await worker.stop();
  await engine.close();
});

describe('a client', () => {
  it('gave up after 30 s, and says that the call may have happened', async () => {
    const { asked, calls, recovered } = await givingUp;
    const [answered, ...errors] = calls;
    expect(answered - asked).toBeGreaterThan(28_000);
    expect(answered - asked).toBeLessThan(45_000);
    for (const error of errors) expect(error).toBeInstanceOf(Errors.ConnectionError);
    expect(recovered).toBe(1);
  });
});

/** Begun before the first test and looked at in the last: it only waits. */
let givingUp: ReturnType<typeof giveUp>;

async function giveUp(engine: Engine, proxy: PostgresProxy) {
  const url = proxy.url(engine.database.url);
  const client = new Client({ connection: { class: pg.Client, options: { connectionString: url } } });
  const options = { taskQueue: 'test', workflowName: 'nobody', args: [] };
  const before = await client.workflow.start(options);
  proxy.blackHole(true);
  const asked = Date.now();
  const caught = (call: Promise<unknown>) => call.catch((error: unknown) => error);
  const errors = await Promise.all([
    caught(client.workflow.start({ ...options, workflowId: 'in the dark' })),
    caught(before.status()),
  ]);
  const calls: [number, ...unknown[]] = [Date.now(), ...errors];
  proxy.blackHole(false);
  const recovered = await before.status();
  await client.close();
  await engine.close();
  await proxy.close();
  return { asked, calls, recovered };
}
