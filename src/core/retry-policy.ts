import * as v from 'valibot';
import { factor, flag, identifier, interval, parseOptions, wholeNumber } from './options.js';
import { type Rule, refusal } from './refusal.js';

/** When and how often something that failed is tried again. Complete and checked. */
export interface RetryPolicy {
  /** Number of retries after the first attempt. 0: none. */
  readonly maximumAttempts: number;
  /** Factor from each delay to the next, at least 1. */
  readonly backoffCoefficient: number;
  /** Delay before the first retry. */
  readonly initialIntervalMs: number;
  /** Upper bound of the delay. */
  readonly maximumIntervalMs: number;
  /** Whether the final failure is thrown at the caller, or returned. */
  readonly throwOnError: boolean;
  /** Names of error classes that are not retried. */
  readonly nonRetryableErrorTypes?: readonly string[];
}

/** What a user may say about retries; see {@link RetryPolicy} for the meaning. Intervals are durations. */
export interface RetryOptions {
  readonly maximumAttempts?: number | undefined;
  readonly backoffCoefficient?: number | undefined;
  readonly initialInterval?: string | number | undefined;
  readonly maximumInterval?: string | number | undefined;
  readonly throwOnError?: boolean | undefined;
  readonly nonRetryableErrorTypes?: readonly string[] | undefined;
}

/** 50 retries after 1 s, 5 s, 25 s, then every 120 s. */
export const defaultRetryPolicy: RetryPolicy = {
  maximumAttempts: 50,
  backoffCoefficient: 5,
  initialIntervalMs: 1_000,
  maximumIntervalMs: 120_000,
  throwOnError: true,
};

const intervalRule: Rule = {
  must: 'at least as long as initialInterval',
  todo: 'Raise it, or lower initialInterval',
};

/** Shape of {@link RetryOptions} for the options of a public call; intervals come out in milliseconds. */
const retryOptions = v.strictObject({
  // Postgres keeps it as an integer.
  maximumAttempts: v.optional(wholeNumber(0, 2_147_483_647, 'It is the number of retries; 0 means none')),
  backoffCoefficient: v.optional(factor),
  initialInterval: v.optional(interval),
  maximumInterval: v.optional(interval),
  throwOnError: v.optional(flag),
  nonRetryableErrorTypes: v.optional(v.array(identifier)),
});

/**
 * The policy that `options` ask for, completed from `defaults`. What is given wins over what is inherited: a longer
 * `initialInterval` lifts an inherited `maximumInterval`, a shorter `maximumInterval` lowers an inherited `initialInterval`.
 *
 * @param call The function as the user wrote it, e.g. `proxyActivities`.
 * @param options As the user gave them, or as {@link retryOptions} let them through.
 * @param path Where the options stand in the call, e.g. `retry`.
 * @throws {InvalidArgumentError} for unknown options and senseless values. Nothing is replaced quietly, and 0 is 0.
 */
export function resolveRetryPolicy(
  call: string,
  options: RetryOptions | undefined,
  defaults: RetryPolicy = defaultRetryPolicy,
  path = 'retry',
): RetryPolicy {
  if (options === undefined) return defaults;
  const given = parseOptions(call, retryOptions, options, path);
  const initialIntervalMs =
    given.initialInterval ?? Math.min(defaults.initialIntervalMs, given.maximumInterval ?? Infinity);
  const maximumIntervalMs = given.maximumInterval ?? Math.max(defaults.maximumIntervalMs, initialIntervalMs);
  if (maximumIntervalMs < initialIntervalMs) {
    throw refusal(call, `${path}.maximumInterval`, intervalRule, maximumIntervalMs, `${maximumIntervalMs} ms`);
  }
  const nonRetryableErrorTypes = given.nonRetryableErrorTypes ?? defaults.nonRetryableErrorTypes;
  return {
    maximumAttempts: given.maximumAttempts ?? defaults.maximumAttempts,
    backoffCoefficient: given.backoffCoefficient ?? defaults.backoffCoefficient,
    initialIntervalMs,
    maximumIntervalMs,
    throwOnError: given.throwOnError ?? defaults.throwOnError,
    ...(nonRetryableErrorTypes && { nonRetryableErrorTypes }),
  };
}

/**
 * Milliseconds to wait before retry `retry`, counted from 1: `initialInterval * coefficient ^ (retry - 1)`, at most
 * `maximumInterval`. The protocol functions compute the same in SQL.
 */
export function retryDelayMs(policy: RetryPolicy, retry: number): number {
  // A power that overflows is Infinity, which the maximum catches; but Infinity * 0 would be NaN.
  if (policy.initialIntervalMs === 0) return 0;
  return Math.min(policy.initialIntervalMs * policy.backoffCoefficient ** (retry - 1), policy.maximumIntervalMs);
}
