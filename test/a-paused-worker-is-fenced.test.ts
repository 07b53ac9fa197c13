import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { faultsOf, type LedgerLine, randomFrom, randomProgram } from './fixtures/programs.mjs';
import { spawnFixture } from './support/process.js';
import { Engine, kept, pause, until } from './support/worker.js';
import { Fleet, within } from './support/worker-fleet.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

it('a worker stopped beyond its lease loses what it had to another, and its late commits are refused', async () => {
  const engine = await Engine.withoutWorker(kept);
  const dir = mkdtempSync(join(tmpdir(), 'perdure-paused-'));
  const env = { URL: engine.database.url, LEDGER: join(dir, 'ledger') };
  const ledger = () =>
    readFileSync(env.LEDGER, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as LedgerLine);
  const first = spawnFixture('held-worker.mjs', { env });
  await first.waitFor(({ type }) => type === 'ready');
  const handles = await Promise.all(Array.from({ length: 5 }, () => engine.start('steps', [8, 100])));
  await first.waitFor(({ type, n }) => type === 'ends' && n === 2);
  first.kill('SIGSTOP');
  const second = spawnFixture('held-worker.mjs', { env });
  await second.waitFor(({ type }) => type === 'begins', 15_000);
  first.kill('SIGCONT');
  const results = await within(60_000, Promise.all(handles.map((handle) => handle.result<string[]>())), () =>
    engine.sql('select * from thread'),
  );
  expect(
    faultsOf(
      ledger(),
      results.map((nonces) => ({ value: null, nonces })),
    ),
  ).toEqual([]);
  expect(results.map((nonces) => nonces.length)).toEqual(Array(5).fill(8));
  expect(first.output).toContain('the lease was lost');
  // Registered anew, the first one works on.
  second.kill();
  await second.exited;
  expect(await engine.run<string[]>('steps', [2, 1])).toHaveLength(2);
  await engine.expectNoViolations();
  first.kill();
  await first.exited;
  await engine.close();
  rmSync(dir, { recursive: true });
});

it('workers that are stopped and let go on, again and again, spoil nothing', async () => {
  const random = randomFrom(seed);
  const engine = await Engine.withoutWorker(kept);
  const fleet = new Fleet({ url: engine.database.url });
  await Promise.all([fleet.add(), fleet.add()]);
  const programs = Array.from({ length: 40 }, () => randomProgram(random, 3, 3));
  let running = true;
  const pausing = (async () => {
    for (let n = 0; running && n < 5; n++) {
      const victim = fleet.workers[n % 2];
      victim?.kill('SIGSTOP');
      await pause(1_300 + random() * 500);
      victim?.kill('SIGCONT');
      await pause(random() * 100);
    }
  })();
  const results = await within(
    60_000,
    Promise.all(
      programs.map(async (node, n) => {
        await pause(n * 150);
        return await fleet.run(engine.client, node);
      }),
    ),
    () => engine.sql(`select * from thread where state <> 'done'`),
  ).finally(() => {
    running = false;
  });
  await pausing;
  fleet.expectOutcomes(programs, results, seed);
  await fleet.killAll();
  await until('their leases are over', async () => {
    await engine.sql('select reap()');
    return (await engine.sql('select from worker where released_at is null')).length === 0;
  });
  await engine.close();
});
