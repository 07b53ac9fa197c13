/** How the runs of a crash test ended, and what they say together. */

import { isDeepStrictEqual } from 'node:util';
import { shownValue } from '../core/shown-value.js';

/** One execution of an activity's function. */
export interface ActivityExecution {
  readonly name: string;
  readonly args: readonly unknown[];
  /** The same for all executions of one call: what a payment provider wants to be given. */
  readonly idempotencyKey: string;
}

/** How one run ended. */
export interface CrashRun {
  readonly seed: number | null;
  /** In words; `no fault` for the first run. */
  readonly plan: string;
  /** What the workflow returned; undefined when it failed. */
  readonly result: unknown;
  /** What it failed with; null when it did not. */
  readonly error: Error | null;
  /** In the order in which they began. */
  readonly activities: readonly ActivityExecution[];
}

/** An activity that ran more than once for one call. */
export interface RepeatedActivity {
  readonly name: string;
  /** The most executions of one call, and the plan of that run. */
  readonly executions: number;
  readonly seed: number;
  readonly plan: string;
}

/** What `crashTest` found to be in order. */
export interface CrashReport {
  readonly runs: number;
  /** Commits of the run without faults. */
  readonly commits: number;
  readonly crashes: number;
  /** Of the run without faults; all others ended alike. */
  readonly result: unknown;
  /** Activities that ran twice for one call, as each may that is no transaction of this database. They must be idempotent. */
  readonly repeated: readonly RepeatedActivity[];
}

/** A run with faults that did not end like the run without. Its message names the seed and the shortest plan that fails. */
export class CrashTestError extends Error {
  override readonly name = 'CrashTestError';
  constructor(
    readonly seed: number | null,
    readonly plan: string,
    what: string,
    options?: ErrorOptions,
  ) {
    super(
      seed === null ? `without any fault: ${what}` : `seed ${seed}, ${plan}: ${what}. Again with { seeds: [${seed}] }`,
      options,
    );
  }
}

/** The activities that ran more than once for one call, in one run. */
export function repetitions({ activities, plan }: CrashRun, seed: number): RepeatedActivity[] {
  const counts = new Map<string, { name: string; executions: number }>();
  for (const { name, idempotencyKey } of activities) {
    const known = counts.get(idempotencyKey) ?? { name, executions: 0 };
    counts.set(idempotencyKey, { name, executions: known.executions + 1 });
  }
  return [...counts.values()]
    .filter(({ executions }) => executions > 1)
    .map(({ name, executions }) => ({ name, executions, seed, plan }));
}

/** How a run differs from the one without faults; null: it does not. */
export function differenceOf(
  run: CrashRun,
  expected: CrashRun,
  comparable: (result: unknown) => unknown,
): string | null {
  if (expected.error === null && run.error !== null)
    return `it failed with ${run.error}, and gives ${shownValue(expected.result)} otherwise`;
  if (expected.error !== null && run.error === null)
    return `it gave ${shownValue(run.result)}, and fails with ${expected.error} otherwise`;
  if (expected.error !== null && `${run.error}` !== `${expected.error}`)
    return `it failed with ${run.error}, otherwise with ${expected.error}`;
  if (!isDeepStrictEqual(comparable(run.result), comparable(expected.result)))
    return `it gave ${shownValue(run.result)}, otherwise ${shownValue(expected.result)}`;
  return null;
}
