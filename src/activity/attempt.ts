/** Runs one attempt of an activity: context, time limit, abort; its outcome as stored text. */

import { encodePayload } from '../codec/payload.js';
import { DurableTimeoutError } from '../core/errors.js';
import { type Failure, failureFromError, isRetryable, nextRetryDelayMs } from '../core/failure.js';
import { type ActivityContext, runInActivity } from './context.js';
import type { LazyAbort } from './lazy-abort.js';

export type AttemptOutcome =
  | { readonly ok: true; readonly text: string | null }
  | {
      readonly ok: false;
      readonly failure: Failure;
      readonly retryable: boolean;
      /** What the error asks for instead of the policy's delay. */
      readonly nextRetryMs: number | null;
    };

export interface Attempt {
  readonly run: (...args: never[]) => unknown;
  readonly context: Omit<ActivityContext, 'signal'>;
  readonly abort: LazyAbort;
  readonly startToCloseMs: number | null;
  readonly nonRetryableErrorTypes: readonly string[];
}

/**
 * A late attempt is answered at its limit; its function is told by the abort signal and its result dropped.
 *
 * @param ended Called once, later than this returns. Must not throw.
 */
export function runAttempt(attempt: Attempt, ended: (outcome: AttemptOutcome) => void): void {
  const { run, context, abort, startToCloseMs, nonRetryableErrorTypes } = attempt;
  const limit = startToCloseMs === null ? null : timeLimit(context.activityName, startToCloseMs, abort);
  const failed = (error: unknown): AttemptOutcome => ({
    ok: false,
    failure: failureFromError(error),
    retryable: (limit !== null && error === limit.error) || isRetryable(error, nonRetryableErrorTypes),
    nextRetryMs: nextRetryDelayMs(error),
  });
  // An async function, so that what it throws at once is a rejection like any other.
  const call = runInActivity(new Call(context, abort), async () => run(...(context.arguments as never[])));
  (limit === null ? call : Promise.race([call, limit.reached])).then(
    (value) => {
      limit?.clear();
      ended(encoded(value, failed));
    },
    (error: unknown) => {
      limit?.clear();
      ended(failed(error));
    },
  );
}

/** A result that cannot be stored fails the attempt. */
function encoded(value: unknown, failed: (error: unknown) => AttemptOutcome): AttemptOutcome {
  try {
    return { ok: true, text: encodePayload(value, 'result') };
  } catch (error) {
    return failed(error);
  }
}

/** The context of one attempt; its signal is made when it is asked for. */
class Call implements ActivityContext {
  declare readonly activityName: string;
  declare readonly arguments: readonly unknown[];
  declare readonly headers: Readonly<Record<string, unknown>>;
  declare readonly workflowId: string;
  declare readonly workflowName: string;
  declare readonly workflowTopic: string;
  declare readonly taskQueue: string;
  declare readonly namespace: string;
  declare readonly attempt: number;
  declare readonly idempotencyKey: string;
  readonly #abort: LazyAbort;

  constructor(context: Omit<ActivityContext, 'signal'>, abort: LazyAbort) {
    Object.assign(this, context);
    this.#abort = abort;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }
}

function timeLimit(name: string, ms: number, abort: LazyAbort) {
  const error = new DurableTimeoutError(`Activity '${name}' exceeded startToCloseTimeout of ${ms / 1000}s`);
  Object.assign(error, { timeoutType: 'START_TO_CLOSE' });
  let timer: NodeJS.Timeout | undefined;
  const reached = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(error);
      abort.abort(error);
    }, ms);
  });
  reached.catch(() => {});
  return { error, reached, clear: () => clearTimeout(timer) };
}
