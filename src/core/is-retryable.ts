import { engineType } from './branded-error.js';
import { durationMs } from './duration.js';
import {
  CancelledFailure,
  DurableFatalError,
  DurableMaxedError,
  DurableTimeoutError,
  TerminatedError,
} from './errors.js';
import { nameOfError } from './name-of-error.js';
import { readField } from './plain-data.js';

/** Errors that end retries at once, whoever throws them. */
const final = [DurableFatalError, DurableMaxedError, DurableTimeoutError, CancelledFailure, TerminatedError];

/**
 * Whether what an activity or workflow function threw may be retried, as far as the error decides. Everything may but the
 * engine's final errors, and so a workflow's uncaught activity or child failure, errors that say `nonRetryable: true`, and
 * those that are listed.
 *
 * @param nonRetryableErrorTypes From the retry policy: names of classes, or what an error has as its `type`.
 */
export function isRetryable(thrown: unknown, nonRetryableErrorTypes: readonly string[] = []): boolean {
  if (final.some((errorClass) => thrown instanceof errorClass)) return false;
  const error = typeof thrown === 'object' && thrown !== null ? thrown : null;
  if (error !== null && readField(error, 'nonRetryable') === true) return false;
  if (nonRetryableErrorTypes.length === 0) return true;
  const names = [nameOfError(thrown), engineType(thrown), error === null ? undefined : readField(error, 'type')];
  return !names.some((name) => typeof name === 'string' && nonRetryableErrorTypes.includes(name));
}

/** When a thrown error wants the next attempt, by its `nextRetryDelay`; null where it leaves that to the policy. */
export function nextRetryDelayMs(thrown: unknown): number | null {
  if (typeof thrown !== 'object' || thrown === null) return null;
  // A field of that name in a foreign error may mean anything: what is no duration says nothing.
  return durationMs(readField(thrown, 'nextRetryDelay'));
}
