import { engineType } from './branded-error.js';
import {
  CancelledFailure,
  DurableFatalError,
  DurableMaxedError,
  DurableTimeoutError,
  TerminatedError,
} from './errors.js';
import { nameOfError } from './name-of-error.js';

/** Errors that end retries at once, whoever throws them. */
const final = [DurableFatalError, DurableMaxedError, DurableTimeoutError, CancelledFailure, TerminatedError];

/**
 * Whether what an activity or workflow function threw may be retried, as far as the error decides. Everything may but the
 * engine's final errors, and so a workflow's uncaught activity or child failure, and errors whose class is listed.
 *
 * @param nonRetryableErrorTypes From the retry policy: names of classes.
 */
export function isRetryable(thrown: unknown, nonRetryableErrorTypes: readonly string[] = []): boolean {
  if (final.some((errorClass) => thrown instanceof errorClass)) return false;
  if (nonRetryableErrorTypes.length === 0) return true;
  return (
    !nonRetryableErrorTypes.includes(nameOfError(thrown)) && !nonRetryableErrorTypes.includes(engineType(thrown) ?? '')
  );
}
