/**
 * What a failure becomes on its way: from an activity to its workflow, from a workflow to whoever waits for it, from a child
 * to its parent.
 */
import { errorFromFailure } from './error-from-failure.js';
import { failureFromError } from './failure-from-error.js';
import type { Failure } from './failure-record.js';

/** Failures that arrive as they are: their class says that they are final. */
const final = new Set(['DurableFatalError', 'DurableMaxedError', 'DurableTimeoutError', 'ActivityLostError']);

function isFinal({ type, code }: Failure): boolean {
  return type === undefined ? code === 596 || code === 597 || code === 598 : final.has(type);
}

/**
 * The error that a workflow sees when an activity failed for good. The engine's final errors arrive as they were thrown;
 * any other error arrives as a DurableFatalError with its message and stack, and itself as `cause`.
 *
 * @param throwOnError False: the error is returned to the workflow instead of thrown, and an exhausted activity's error is a
 *   DurableRetryError (code 599), as programs that use the option expect.
 */
export function finalActivityError(failure: Failure, { throwOnError = true }: { throwOnError?: boolean } = {}): Error {
  if (isFinal(failure)) return errorFromFailure(failure);
  return errorFromFailure(
    throwOnError ? wrapped(failure, 'DurableFatalError', 598) : wrapped(failure, 'DurableRetryError', 599),
  );
}

/**
 * The failure that ends a workflow, of what its function threw last. The engine's final errors and a cancellation keep their
 * class; any other error keeps its name, message, stack, cause and fields.
 *
 * @param attemptsExhausted Whether the retries were used up (code 597), or the error ended them early (598).
 */
export function finalWorkflowFailure(error: unknown, attemptsExhausted: boolean): Failure {
  const failure = failureFromError(error);
  if (isFinal(failure)) return failure;
  if (failure.type === 'CancelledFailure') return { ...failure, code: 598 };
  // Another workflow was terminated, not this one.
  if (failure.type === 'TerminatedError') return wrapped(failure, 'DurableFatalError', 598);
  const { cause, ...kept } = failure;
  // The engine's code takes the place of the error's own one, which stays readable in a cause.
  const original = failure.details?.code === undefined ? cause : failure;
  return {
    ...kept,
    ...(original && { cause: original }),
    ...(attemptsExhausted ? { type: 'DurableMaxedError', code: 597 } : { type: 'DurableFatalError', code: 598 }),
    nonRetryable: true,
  };
}

/**
 * The error that a parent sees when a child or a hook it awaits failed. The child's final errors keep class, message and stack, a
 * terminated child gives its termination's reason and code; all else, a cancelled child included (the parent is not), is
 * fatal with the child's failure as `cause`. None of them is retried when the parent lets it pass.
 */
export function childError(failure: Failure): Error {
  const asItIs = isFinal(failure) || failure.type === 'TerminatedError';
  return errorFromFailure(asItIs ? failure : wrapped(failure, 'DurableFatalError', 598));
}

function wrapped(cause: Failure, type: string, code: number): Failure {
  return {
    name: type,
    type,
    code,
    message: cause.message,
    stack: cause.stack,
    cause,
    ...(code === 598 && { nonRetryable: true }),
  };
}
