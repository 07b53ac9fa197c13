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

const poison = { name: 'ActivityLostError', code: 598, message: expect.stringContaining('poison') };

it('an activity that ends its process is given up when it does so too often', async () => {
  // Side by side: most of it is waiting for leases.
  await Promise.all([
    isGivenUp({ before: 0, ends: 2, outcome: { result: 'survived' } }),
    isGivenUp({ before: 0, ends: 100, outcome: poison }),
    isGivenUp({ before: 400, ends: 100, outcome: poison }),
  ]);
});

interface Poison {
  /** Ms until the activity ends its process. */
  readonly before: number;
  /** How often it does so. */
  readonly ends: number;
  readonly outcome: object;
}

async function isGivenUp({ before, ends, outcome }: Poison): Promise<void> {
  const engine = await Engine.withoutWorker(kept);
  const dir = mkdtempSync(join(tmpdir(), 'perdure-poison-'));
  const env = { URL: engine.database.url, LEDGER: join(dir, 'ledger'), ENDS: String(ends), BEFORE_MS: String(before) };
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
}
