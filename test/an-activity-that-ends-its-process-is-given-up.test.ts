import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Fixture, spawnFixture } from './support/process.js';
import { Engine, kept, until } from './support/worker.js';

/** Worker processes one after the other, as a supervisor starts them, until the workflow has ended or enough have died. */
async function supervise(env: Record<string, string>, ended: () => boolean, most: number): Promise<number> {
  let deaths = 0;
  let worker: Fixture | null = null;
  while (!ended() && deaths < most) {
    worker = spawnFixture('poison-worker.mjs', { env });
    await Promise.race([worker.exited, until('the workflow has ended', ended, 30_000)]);
    if (!ended()) deaths++;
  }
  worker?.kill();
  await worker?.exited;
  return deaths;
}

it.each([
  ['at once', '0', 2, { result: 'survived' }],
  ['at once', '0', 100, { name: 'ActivityLostError', code: 598, message: expect.stringContaining('poison') }],
  ['after a while', '400', 100, { name: 'ActivityLostError', code: 598, message: expect.stringContaining('poison') }],
])('an activity that ends its process %s (%s ms), %s times', async (_, before, ends, outcome) => {
  const engine = await Engine.withoutWorker(kept);
  const dir = mkdtempSync(join(tmpdir(), 'perdure-poison-'));
  const env = { URL: engine.database.url, LEDGER: join(dir, 'ledger'), ENDS: String(ends), BEFORE_MS: before };
  const handle = await engine.start('poisoned');
  let result: unknown;
  void handle.result().then(
    (value) => {
      result = value;
    },
    (error: unknown) => {
      result = error;
    },
  );
  const deaths = await supervise(env, () => result !== undefined, 9);
  expect(result).toEqual(outcome);
  // Lost five times; the first time may have been as the eager activity of its workflow.
  if (ends === 100) expect(deaths).toBeLessThanOrEqual(6);
  expect(readFileSync(env.LEDGER, 'utf8').length).toBeLessThanOrEqual(6);
  rmSync(dir, { recursive: true });
  await until('leases are over', async () => {
    await engine.sql('select reap()');
    return (await engine.sql('select from worker where released_at is null')).length === 0;
  });
  await engine.close();
});
