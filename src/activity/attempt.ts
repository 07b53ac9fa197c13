/** Runs one attempt of an activity: context, time limit, abort; its outcome as stored text. */

import { encodePayload } from '../codec/payload.js';
import { DurableTimeoutError } from '../core/errors.js';
import { type Failure, failureFromError, isRetryable } from '../core/failure.js';
import { type ActivityContext, runInActivity } from './context.js';

export type AttemptOutcome =
  | { readonly ok: true; readonly text: string | null }
  | { readonly ok: false; readonly failure: Failure; readonly retryable: boolean };

export interface Attempt {
  readonly run: (...args: never[]) => unknown;
  readonly context: Omit<ActivityContext, 'signal'>;
  readonly abort: AbortController;
  readonly startToCloseMs: number | null;
  readonly nonRetryableErrorTypes: readonly string[];
}

/** Never rejects. A late attempt is answered at its limit; its function is told by the abort signal and its result dropped. */
export async function runAttempt({
  run,
  context,
  abort,
  startToCloseMs,
  nonRetryableErrorTypes,
}: Attempt): Promise<AttemptOutcome> {
  const limit = startToCloseMs === null ? null : timeLimit(context.activityName, startToCloseMs, abort);
  try {
    const call = runInActivity({ ...context, signal: abort.signal }, async () =>
      run(...(context.arguments as never[])),
    );
    const value = await (limit === null ? call : Promise.race([call, limit.reached]));
    return { ok: true, text: encodePayload(value, 'result') };
  } catch (error) {
    const timedOut = limit !== null && error === limit.error;
    return {
      ok: false,
      failure: failureFromError(error),
      retryable: timedOut || isRetryable(error, nonRetryableErrorTypes),
    };
  } finally {
    limit?.clear();
  }
}

function timeLimit(name: string, ms: number, abort: AbortController) {
  const error = new DurableTimeoutError(`Activity '${name}' exceeded startToCloseTimeout of ${ms / 1000}s`);
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
