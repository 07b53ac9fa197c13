import { CrashBench } from './crash-bench.js';
import type { CrashReport } from './crash-report.js';
import { type CrashTestOptions, resolveCrashTest } from './crash-test-options.js';

const CALL = 'crashTest';

/**
 * Runs a workflow on the real engine and a database in memory, again and again: with its process killed before and behind every
 * commit, start, signal, claim and result of an activity, with answers that are lost so that calls arrive twice, with nothing kept in
 * memory; in virtual time. Each run has to end like the one without faults.
 *
 * @throws {CrashTestError} with the seed and the shortest plan that fails: another result, a workflow that is blocked since its code
 *   is not deterministic, one that is stuck, or what `assert` threw.
 * @throws {InvalidArgumentError} for options it does not know.
 *
 * @example
 * const report = await crashTest({
 *   workflow: order,
 *   args: ['o-1'],
 *   activities: { charge, ship },
 *   signals: [{ id: 'approved', data: true, at: '2 days' }],
 *   assert: ({ activities }) => assert(new Set(activities.map((a) => a.idempotencyKey)).size === 2),
 * });
 * console.log(report.repeated); // activities that ran twice
 */
export async function crashTest(options: CrashTestOptions): Promise<CrashReport> {
  const bench = await CrashBench.open(CALL, resolveCrashTest(CALL, options));
  try {
    return await bench.test();
  } finally {
    await bench.close();
  }
}
