/** What `crashTest` is given. */

import * as v from 'valibot';
import { parseDuration } from '../core/duration.js';
import { InvalidArgumentError } from '../core/errors.js';
import { parseOptions } from '../core/options.js';
import { shownValue } from '../core/shown-value.js';
import { functionsOf, type UserFunction, type UserFunctions, type WorkerTuning } from '../worker/options.js';
import type { CrashRun } from './crash-report.js';

/** A signal that the workflow is sent. */
export interface TestSignal {
  readonly id: string;
  readonly data?: unknown;
  /** How long after the start, in virtual time: `'2 days'`, or ms. Default: at once. */
  readonly at?: string | number;
}

/** Options of `crashTest`. */
export interface CrashTestOptions {
  /** The function to be tested, or several: then {@link workflowName} says which. */
  readonly workflow: UserFunction | UserFunctions;
  readonly workflowName?: string;
  readonly args?: readonly unknown[];
  /** Made anew for each run when a function is given: `() => ({ charge, ship })`. */
  readonly activities?: UserFunctions | (() => UserFunctions);
  readonly signals?: readonly TestSignal[];
  /**
   * How many runs with faults, or the seeds of those to be run again. The first two for each commit crash before and behind it;
   * then come, one at a time, starts, signals, claims and activity results, with a crash there and arriving twice; those that follow put
   * several faults together, drop instances from memory and send signals in another order. Default 50.
   */
  readonly seeds?: number | readonly number[];
  /** Called before each run, to put back what the activities write to. */
  readonly before?: () => unknown;
  /** Called behind each run; what it throws fails the test, with the plan: compare your own effects here. */
  readonly assert?: (run: CrashRun) => unknown;
  /** What of a result is compared. Default: all. Leave out what differs in each run: generated ids, random numbers, times. */
  readonly comparable?: (result: unknown) => unknown;
  /** How long a run may take, in real time, before it counts as stuck. Default `'20s'`. */
  readonly timeout?: string | number;
  /** Of the worker. */
  readonly options?: WorkerTuning;
}

const shape = v.strictObject({
  workflow: v.unknown(),
  workflowName: v.optional(v.string('text')),
  args: v.optional(v.array(v.unknown(), 'an array of arguments')),
  activities: v.optional(v.unknown()),
  signals: v.optional(
    v.array(
      v.strictObject({ id: v.string('text'), data: v.optional(v.unknown()), at: v.optional(v.unknown()) }),
      'an array of signals',
    ),
  ),
  seeds: v.optional(
    v.custom<number | number[]>(
      (seeds) => (Array.isArray(seeds) ? seeds : [seeds]).every((seed) => Number.isSafeInteger(seed) && seed >= 0),
      'a whole number from 0, or an array of them',
    ),
  ),
  before: v.optional(v.function('a function')),
  assert: v.optional(v.function('a function')),
  comparable: v.optional(v.function('a function')),
  timeout: v.optional(v.unknown()),
  options: v.optional(v.looseObject({})),
});

/** Complete and checked. */
export interface ResolvedCrashTest {
  readonly given: CrashTestOptions;
  readonly workflowName: string;
  readonly signals: readonly TimedSignal[];
  readonly seeds: readonly number[];
  readonly timeoutMs: number;
}

export interface TimedSignal extends TestSignal {
  /** Behind the start. */
  readonly atMs: number;
}

/** @throws {InvalidArgumentError} for options it does not know, and for a workflow that is not among the functions. */
export function resolveCrashTest(call: string, options: CrashTestOptions): ResolvedCrashTest {
  const { workflowName, seeds = 50 } = parseOptions(call, shape, options);
  const names = [...functionsOf(call, 'workflow', options.workflow, true).keys()];
  const name = workflowName ?? (names.length === 1 ? names[0] : undefined);
  if (name === undefined || !names.includes(name))
    throw new InvalidArgumentError(
      `${call}: workflowName must be one of ${names.join(', ')}; got ${shownValue(workflowName)}`,
    );
  return {
    given: options,
    workflowName: name,
    signals: (options.signals ?? []).map((signal, index) => ({
      ...signal,
      atMs: signal.at === undefined ? 0 : parseDuration(call, signal.at, `signals[${index}].at`),
    })),
    seeds: typeof seeds === 'number' ? Array.from({ length: seeds }, (_, seed) => seed) : seeds,
    timeoutMs: parseDuration(call, options.timeout ?? '20s', 'timeout'),
  };
}
