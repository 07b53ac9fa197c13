/**
 * Real processes on a real database with a synchronous standby, and all that can happen to them: docs/reliability.md. This is the short
 * form; `npm run chaos` sets `CHAOS` (options as JSON) and runs the same for as long as it is asked to.
 */
import { writeSync } from 'node:fs';
import { expect, it } from 'vitest';
import { percentile, tableOf } from './support/chaos/report.js';
import { type ChaosOptions, runChaos } from './support/chaos/run.js';

const given = JSON.parse(process.env.CHAOS ?? '{}') as Partial<ChaosOptions>;
const seed = given.seed ?? Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
const RECOVERED_WITHIN_MS = 15_000;

const short = {
  kill: 4,
  killAtPoint: 8,
  killClient: 1,
  pause: 1,
  workerClock: 2,
  crash: 1,
  failover: 1,
  terminate: 3,
  replicaStalls: 1,
  reset: 2,
  lostAnswer: 4,
  blackHole: 1,
  delay: 1,
  deafen: 1,
  exhaust: 1,
  pooler: 1,
  databaseClock: 1,
  diskFull: 1,
};

/** Past vitest, at once. A pipe may be full for a moment. */
function say(text: string): void {
  for (let rest = Buffer.from(text); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

it.runIf(process.env.CHAOS !== undefined)(
  'kill, crash, cut, promote: each workflow ends as its program says, and each effect fits what was recorded',
  async () => {
    const lines: string[] = [];
    const log = (line: string) => {
      lines.push(line);
      if (process.env.CHAOS !== undefined) say(`${line}\n`);
    };
    const plan = { leaseMs: 2_000, workers: 4, clients: 2, rate: 4, open: 40, faults: short, ...given, seed };
    log(`seed ${seed}: ${JSON.stringify(plan)}`);
    const result = await runChaos({ ...plan, log });
    log(`\n${tableOf(seed, result)}`);
    const slow = result.recoveries.filter(({ ms }) => ms > RECOVERED_WITHIN_MS).map((one) => JSON.stringify(one));
    for (const [what, found] of Object.entries({ ...problemsOf(result), slow }))
      for (const line of found.slice(0, 20)) log(`${what}: ${line}`);
    // Whoever set CHAOS has read it all.
    const story = process.env.CHAOS === undefined ? lines.join('\n') : `seed ${seed}`;
    expect(problemsOf(result), story).toEqual({
      wrong: [],
      duplicates: [],
      lost: [],
      stuck: [],
      violations: [],
      surprises: [],
    });
    expect(result.done, story).toBeGreaterThan(0);
    // A matter of how fast the machine is, so where time is what was asked for.
    if (given.forMs === undefined) return;
    const recoveries = result.recoveries.map(({ ms }) => ms);
    expect(percentile(recoveries, 0.99), story).toBeLessThanOrEqual(RECOVERED_WITHIN_MS);
  },
  (given.forMs ?? 0) + 400_000,
);

function problemsOf({ wrong, duplicates, lost, stuck, violations, surprises }: Awaited<ReturnType<typeof runChaos>>) {
  return { wrong, duplicates, lost, stuck, violations, surprises };
}
