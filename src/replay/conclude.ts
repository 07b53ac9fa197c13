import { CancelledFailure } from '../core/errors.js';
import { failureFromError, finalWorkflowFailure, isRetryable, nextRetryDelayMs } from '../core/failure.js';
import type { Command } from '../core/history.js';
import { retryDelayMs } from '../core/retry-policy.js';
import type { ExecutionInfo, Outcome } from './instance.js';

/**
 * What the end of a workflow function means: its result, a retry behind the same history, or its failure.
 *
 * @param encode Turns the result into stored text; what it throws fails the workflow for good, so that a result which
 *   cannot be stored does not loop.
 */
export function conclude(outcome: Outcome, info: ExecutionInfo, encode: (value: unknown) => string | null): Command {
  const command = { name: '', fingerprint: 0, counter: 0 };
  if (outcome.ok) {
    try {
      return { ...command, kind: 'complete', spec: { result: encode(outcome.value) } };
    } catch (error) {
      return { ...command, kind: 'fail', spec: { failure: finalWorkflowFailure(error, false), cancelled: false } };
    }
  }
  const { error } = outcome;
  const retryable = isRetryable(error, info.retry.nonRetryableErrorTypes);
  if (retryable && info.attempt <= info.retry.maximumAttempts) {
    const delayMs = nextRetryDelayMs(error) ?? retryDelayMs(info.retry, info.attempt);
    return { ...command, kind: 'retry', spec: { attempt: info.attempt, delayMs, failure: failureFromError(error) } };
  }
  const cancelled = error instanceof CancelledFailure;
  return { ...command, kind: 'fail', spec: { failure: finalWorkflowFailure(error, retryable), cancelled } };
}
