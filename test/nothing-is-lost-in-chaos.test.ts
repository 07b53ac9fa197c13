/**
 * Real processes on a real database with a synchronous standby, and all that can happen to them: docs/reliability.md. This is the short
 * form, whose work is bounded; `npm run chaos` sets `CHAOS` (options as JSON) and runs the same for as long as it is asked to.
 */
import { writeSync } from 'node:fs';
import { expect, it } from 'vitest';
import { percentile, tableOf } from './support/chaos/report.js';
import { type ChaosOptions, runChaos } from './support/chaos/run.js';

const given = JSON.parse(process.env.CHAOS ?? '{}') as Partial<ChaosOptions>;
const seed = given.seed ?? 7;
const RECOVERED_WITHIN_MS = 15_000;

/** So many single faults: on an idle machine some 40 s. */
const faults = {
  kill: 6,
  killAtPoint: 10,
  killClient: 1,
  outOfMemory: 1,
  workerClock: 1,
  pause: 3,
  blockedLoop: 1,
  crash: 2,
  failover: 1,
  replicaStalls: 4,
  exhaust: 1,
  pooler: 1,
  databaseClock: 1,
  diskFull: 1,
  terminate: 30,
  reset: 15,
  lostAnswer: 60,
  blackHole: 1,
  delay: 1,
  deafen: 4,
};
/** Nothing is asserted of time here: on a machine that has much else to do there are fewer faults, and the workflows take longer. */
const short = { leaseMs: 2_000, workers: 4, clients: 2, rate: 4, open: 40, workflows: 300, faults, atMostMs: 60_000 };

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

it(
  'kill, crash, cut, promote: each workflow ends as its program says, and each effect fits what was recorded',
  async () => {
    const lines: string[] = [];
    const log = (line: string) => {
      lines.push(line);
      if (process.env.CHAOS !== undefined) say(`${line}\n`);
    };
    const plan = { ...(given.faults === undefined && short), ...given, seed } as Omit<ChaosOptions, 'log'>;
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
    expect(result.done, story).toBe(plan.workflows ?? result.done);
    expect(result.done, story).toBeGreaterThan(0);
    // A matter of how fast the machine is, so where more was asked for than the short form.
    if (given.faults === undefined) return;
    expect(result.missing, story).toEqual([]);
    const recoveries = result.recoveries.map(({ ms }) => ms);
    expect(percentile(recoveries, 0.99), story).toBeLessThanOrEqual(RECOVERED_WITHIN_MS);
  },
  // A full run ends when its faults have happened.
  given.faults === undefined ? 600_000 : (given.forMs ?? 3_600_000) + 600_000,
);

function problemsOf({ wrong, duplicates, lost, stuck, violations, surprises }: Awaited<ReturnType<typeof runChaos>>) {
  return { wrong, duplicates, lost, stuck, violations, surprises };
}
