/** PGlite: the whole engine and its database in one process, in memory or in a folder. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Client, Durable, Errors, Worker, type WorkerTuning, workflow } from '../src/index.js';
import {
  faultsOf,
  type LedgerLine,
  makeProgram,
  type Node,
  outcomeOf,
  type ProgramResult,
  randomFrom,
  randomProgram,
  repeatsIn,
  signalsOf,
} from './fixtures/programs.mjs';
import { type Fixture, spawnFixture } from './support/process.js';
import { pause, until } from './support/worker.js';
import { within } from './support/worker-fleet.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

async function violations(db: PGlite): Promise<unknown[]> {
  return (await db.query('select * from durable.violations()')).rows;
}

describe('in memory', () => {
  it.each([
    ['kept', {}],
    ['replayed', { parkAfter: 0, maxCachedWorkflows: 0 }],
  ])('programs give what they give in plain JavaScript (%s)', async (_, tuning: WorkerTuning) => {
    const db = new PGlite();
    const connection = { class: db };
    const ledger: LedgerLine[] = [];
    const { workflows, activities } = makeProgram(Durable, (line) => ledger.push(line));
    const client = new Client({ connection });
    const worker = await Worker.create({
      connection,
      taskQueue: 'test',
      workflow: workflows,
      activities,
      options: { logLevel: 'silent', shutdownGrace: 100, ...tuning },
    });
    const random = randomFrom(seed);
    const programs = Array.from({ length: 30 }, () => randomProgram(random, 3));
    const results = await within(
      40_000,
      Promise.all(
        programs.map(async (node) => {
          const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'program', args: [node] });
          for (const id of signalsOf(node)) await client.workflow.signal(`${handle.workflowId} ${id}`, id);
          return await handle.result<ProgramResult>();
        }),
      ),
      async () => (await db.query(`select * from durable.thread where state <> 'done'`)).rows,
    );
    for (const [n, node] of programs.entries()) {
      expect(results[n]?.value, `seed ${seed}, ${JSON.stringify(node)}`).toEqual(outcomeOf(node));
    }
    expect(faultsOf(ledger, results)).toEqual([]);
    expect(repeatsIn(ledger)).toBe(0);
    await worker.stop();
    await client.close();
    expect(await violations(db)).toEqual([]);
    await db.close();
  });

  it('the class makes a database of its own, shared by those who pass the same options object', async () => {
    const connection = { class: PGlite, options: {} };
    const client = new Client({ connection });
    const worker = await Worker.create({
      connection,
      taskQueue: 'test',
      workflow: { nap: async () => await workflow.sleep(10) },
      options: { logLevel: 'silent', shutdownGrace: 100 },
    });
    const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'nap', args: [] });
    expect(await handle.result()).toBe(0.01);
    await expect(
      client.workflow.start({ taskQueue: 'test', workflowName: 'nap', workflowId: handle.workflowId, args: [] }),
    ).rejects.toThrow(Errors.DuplicateJobError);
    await worker.stop();
    await client.close();
  });

  it('the program’s own queries go on beside the engine', async () => {
    const db = new PGlite();
    await db.exec('create table mine (n int)');
    const client = new Client({ connection: { class: db } });
    const worker = await Worker.create({
      connection: { class: db },
      taskQueue: 'test',
      workflow: { nap: async (ms: number) => await workflow.sleep(ms) },
      options: { logLevel: 'silent', shutdownGrace: 100 },
    });
    const naps = Array.from({ length: 20 }, async (_, n) => {
      const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'nap', args: [n] });
      return await handle.result();
    });
    for (let n = 0; n < 20; n++) {
      await db.transaction(async (transaction) => {
        await transaction.query('insert into mine values ($1)', [n]);
        await pause(2);
        await transaction.query('insert into mine values ($1)', [n]);
      });
    }
    await Promise.all(naps);
    const { rows } = await db.query<{ n: number }>('select count(*)::int as n from mine');
    expect(rows).toEqual([{ n: 40 }]);
    await worker.stop();
    await client.close();
    expect(await violations(db)).toEqual([]);
    await db.close();
  });
});

describe('in a folder', () => {
  let dir: string;
  let env: Record<string, string>;
  const execArgv = ['--liftoff-only']; // as this process: see vitest.config.ts
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'perdure-pglite-'));
    env = { FOLDER: join(dir, 'data'), LEDGER: join(dir, 'ledger') };
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('kill -9 amid work: whoever opens it next goes on at once', async () => {
    const random = randomFrom(seed + 1);
    const programs = Array.from({ length: 24 }, () => randomProgram(random, 3, 4));
    const results = new Map<number, ProgramResult>();
    const ids = new Map<number, string>();
    const rounds = 4;
    let next = 0;
    for (let round = 0; round < rounds; round++) {
      const batch: [number, Node][] = programs
        .slice(next, next + 6)
        .map((node, n): [number, Node] => [next + n, node])
        .filter(([n]) => !ids.has(n));
      next += 6;
      const earlier = [...ids].filter(([n]) => !results.has(n));
      const worker = spawnFixture('pglite-worker.mjs', {
        execArgv,
        env: { ...env, PROGRAMS: JSON.stringify(batch), EARLIER: JSON.stringify(earlier) },
      });
      await worker.waitFor(({ type }) => type === 'ready', 60_000);
      if (round === rounds - 1) {
        // The leases of the killed ones last longer than any step here may take: nobody waits for them.
        await until('all have ended', () => collect(worker) === programs.length, 60_000);
      } else {
        // All of them are there, with their signals; how far each has come is left to chance.
        await until('all were signalled', () => count(worker, 'signalled') === batch.length);
        await pause(random() * 150);
      }
      worker.kill();
      await worker.exited;
      collect(worker);
    }
    for (const [n, node] of programs.entries()) {
      expect(results.get(n)?.value, `seed ${seed}, ${JSON.stringify(node)}`).toEqual(outcomeOf(node));
    }
    const ledger = readFileSync(env.LEDGER as string, 'utf8')
      .trim()
      .split('\n');
    expect(
      faultsOf(
        ledger.map((line) => JSON.parse(line) as LedgerLine),
        [...results.values()],
      ),
    ).toEqual([]);
    const db = new PGlite(env.FOLDER as string);
    expect(await violations(db)).toEqual([]);
    await db.close();

    function collect(worker: Fixture): number {
      for (const message of worker.messages) {
        if (message.type === 'started') ids.set(message.n as number, message.workflowId as string);
        if (message.type === 'result') results.set(message.n as number, message.result as ProgramResult);
      }
      return results.size;
    }
    function count(worker: Fixture, type: string): number {
      return worker.messages.filter((message) => message.type === type).length;
    }
  });

  it('belongs to one process: a second one is refused, and says by whom; when the first is gone it is free', async () => {
    const first = spawnFixture('pglite-worker.mjs', { env, execArgv });
    await first.waitFor(({ type }) => type === 'ready', 60_000);
    const second = spawnFixture('pglite-worker.mjs', { env, execArgv });
    const refused = await second.waitFor(({ type }) => type === 'failed', 40_000);
    expect(refused).toMatchObject({
      name: 'ConnectionError',
      message: expect.stringContaining(`process ${first.pid}`),
    });
    expect(await second.exited).toMatchObject({ code: 1 });
    first.kill();
    await first.exited;
    const third = spawnFixture('pglite-worker.mjs', { env, execArgv });
    await third.waitFor(({ type }) => type === 'ready', 60_000);
  });
});

describe('inside a transaction on the same PGlite', () => {
  const naps = { nap: async () => await workflow.sleep(5) };
  const startOptions = { taskQueue: 'test', workflowName: 'nap', args: [] };

  it('a call is refused at once, instead of waiting for itself; the transaction and the engine go on', async () => {
    const db = new PGlite();
    const connection = { class: db };
    const client = new Client({ connection });
    const fresh = new Client({ connection, namespace: 'other' }); // has not connected yet
    const options = { logLevel: 'silent', shutdownGrace: 100 };
    const worker = await Worker.create({ connection, taskQueue: 'test', workflow: naps, options });
    const handle = await client.workflow.start(startOptions);
    await db.exec('create table note (text text)');

    const calls: Record<string, () => Promise<unknown>> = {
      start: () => client.workflow.start(startOptions),
      'start of a client that never connected': () => fresh.workflow.start(startOptions),
      signal: () => client.workflow.signal('s'),
      subscribe: () => client.workflow.subscribe({}, () => {}),
      result: () => handle.result(),
      status: () => handle.status(),
      'handle.signal': () => handle.signal('s'),
      cancel: () => handle.cancel(),
      terminate: () => handle.terminate(),
      'Worker.create': () => Worker.create({ connection, taskQueue: 'more', workflow: naps, options }),
    };
    const left = new Promise<unknown>((resolve) => {
      void db.transaction(async () => {
        setTimeout(() => client.workflow.start(startOptions).then((later) => resolve(later.result()), resolve), 500);
      });
    });
    const returned = await db.transaction(async (transaction) => {
      await transaction.query('insert into note values ($1)', ['kept']);
      const refused: string[] = [];
      for (const [name, call] of Object.entries(calls)) {
        const error = await call().catch((error: unknown) => error);
        if (error instanceof Errors.InsideTransactionError) refused.push(name);
      }
      return refused;
    });
    expect(returned).toEqual(Object.keys(calls));
    expect((await db.query('select * from note')).rows).toEqual([{ text: 'kept' }]);
    expect(await handle.result()).toBe(0.005);
    expect(await left, 'what a transaction left behind is outside of it').toBe(0.005);
    await expect(db.transaction(() => Promise.reject(new RangeError('mine')))).rejects.toThrow(RangeError);

    await new PGlite().transaction(async () => {
      expect(await (await client.workflow.start(startOptions)).result(), 'the transaction of another').toBe(0.005);
    });
    await worker.stop();
    await client.close();
    await fresh.close();
    expect(await violations(db)).toEqual([]);
    await db.close();
  });

  it('workflows and activities go on: they wait for it, and nothing waits for them', async () => {
    const db = new PGlite();
    const connection = { class: db };
    await db.exec('create table note (text text)');
    const client = new Client({ connection });
    const options = { logLevel: 'silent', shutdownGrace: 100 };
    const notes = {
      async note() {
        return await db.transaction(async (transaction) => {
          await transaction.query(`insert into note values ('by an activity')`);
          await pause(50);
          return Durable.activity.getContext().attempt;
        });
      },
    };
    const { note } = workflow.proxyActivities<typeof notes>();
    const write = async () => [await note(), await note()];
    const worker = await Worker.create({
      connection,
      taskQueue: 'test',
      workflow: { write },
      activities: notes,
      options,
    });
    const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'write', args: [] });
    expect(await handle.result()).toEqual([1, 1]);
    expect((await db.query('select count(*)::int as n from note')).rows).toEqual([{ n: 2 }]);
    await worker.stop();
    await client.close();
    await db.close();
  });
});
