/** Errors as stored data: what is kept of them, how they come back, and what they become on the way. */
export { errorFromFailure } from './error-from-failure.js';
export { failureFromError } from './failure-from-error.js';
export type { Failure } from './failure-record.js';
export { childError, finalActivityError, finalWorkflowFailure } from './final-failure.js';
export { isRetryable, nextRetryDelayMs } from './is-retryable.js';
