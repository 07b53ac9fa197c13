/** Runs one attempt of an activity: context, time limits, heartbeats, abort; its outcome as stored text. */

import { encodePayload } from '../codec/payload.js';
import { CompleteAsyncError, InvalidArgumentError, TransactionError } from '../core/errors.js';
import { type Failure, failureFromError, isRetryable, nextRetryDelayMs } from '../core/failure.js';
import { boundLogger, type Log, type Logger } from '../core/logger.js';
import { ranUntilNow, type Stalling } from '../core/stall.js';
import { type ActivityCall, type ActivityContext, type ActivityTransaction, runInActivity } from './context.js';
import type { LazyAbort } from './lazy-abort.js';
import { type AttemptLimits, TimeLimits } from './time-limits.js';

export type AttemptOutcome =
  | { readonly kind: 'done'; readonly text: string | null }
  /** Left to whoever has the task token. */
  | { readonly kind: 'outside' }
  | {
      readonly kind: 'failed';
      readonly failure: Failure;
      readonly retryable: boolean;
      /** What the error asks for instead of the policy's delay. */
      readonly nextRetryMs: number | null;
    };

/** What is known of the call; the rest comes with the attempt. */
export type CallFacts = Omit<
  ActivityContext,
  'activityName' | 'arguments' | 'signal' | 'taskToken' | 'heartbeat' | 'heartbeatDetails' | 'log' | 'transaction'
>;

/**
 * One attempt: what is run, and who is told. One object for all of it, which is also what its function's async context
 * carries: six of them, with their closures, were a fifth of what a step allocated.
 */
export interface Attempt extends ActivityCall, Stalling {
  readonly run: (...args: never[]) => unknown;
  readonly activityName: string;
  readonly arguments: readonly unknown[];
  readonly abort: LazyAbort;
  readonly limits: AttemptLimits | null;
  /** Its limits, as they are watched while it runs; set by {@link runAttempt}. */
  timeLimits: TimeLimits | null;
  /** What the last heartbeat of the attempts before said. */
  readonly heartbeatDetails: unknown;
  readonly nonRetryableErrorTypes: readonly string[];
  /** Of a transactional one, while it runs. */
  readonly transaction: (() => ActivityTransaction | null) | null;
  /** Of the worker that runs it. */
  readonly logger: Logger;
  /** The rest of what its context tells. */
  facts(): CallFacts;
  heartbeat(details: string | null): void;
  /** Somebody else may answer from now on. */
  giveToken(): string;
  /** Called once, later than {@link runAttempt} returns. Must not throw. */
  ended(outcome: AttemptOutcome): void;
}

/** A late attempt is answered at its limit; its function is told by the abort signal and its result dropped. */
export function runAttempt(attempt: Attempt): void {
  let answer: Promise<unknown>;
  try {
    if (attempt.limits !== null)
      attempt.timeLimits = new TimeLimits(attempt.activityName, attempt.limits, attempt.abort);
    // A promise of the function's own stays the only one.
    answer = Promise.resolve(runInActivity(attempt, attempt.run, attempt.arguments as never[]));
  } catch (error) {
    answer = Promise.reject(error);
  }
  ranUntilNow(attempt);
  const { timeLimits } = attempt;
  (timeLimits === null ? answer : Promise.race([answer, timeLimits.reached])).then(
    (value) => {
      ranUntilNow(attempt);
      attempt.timeLimits?.clear();
      attempt.ended(encoded(attempt, value));
    },
    (error: unknown) => {
      ranUntilNow(attempt);
      attempt.timeLimits?.clear();
      attempt.ended(failed(attempt, error));
    },
  );
}

function failed({ timeLimits, nonRetryableErrorTypes }: Attempt, error: unknown): AttemptOutcome {
  if (error instanceof CompleteAsyncError) return { kind: 'outside' };
  const timedOut = timeLimits !== null && error === timeLimits.error;
  return {
    kind: 'failed',
    failure: failureFromError(error),
    retryable: timedOut ? timeLimits.retryable : isRetryable(error, nonRetryableErrorTypes),
    nextRetryMs: nextRetryDelayMs(error),
  };
}

/** A result that cannot be stored fails the attempt. */
function encoded(attempt: Attempt, value: unknown): AttemptOutcome {
  try {
    return { kind: 'done', text: encodePayload(value, 'result') };
  } catch (error) {
    return failed(attempt, error);
  }
}

/** The context of one attempt; what few activities ask for is made when it is asked for. */
export class AttemptContext implements ActivityContext {
  readonly activityName: string;
  readonly arguments: readonly unknown[];
  declare readonly headers: Readonly<Record<string, unknown>>;
  declare readonly workflowId: string;
  declare readonly workflowName: string;
  declare readonly workflowTopic: string;
  declare readonly taskQueue: string;
  declare readonly namespace: string;
  declare readonly attempt: number;
  declare readonly idempotencyKey: string;
  readonly #attempt: Attempt;
  #log: Log | null = null;

  constructor(attempt: Attempt) {
    this.activityName = attempt.activityName;
    this.arguments = attempt.arguments;
    Object.assign(this, attempt.facts());
    this.#attempt = attempt;
  }

  get log(): Log {
    if (this.#log === null) {
      const { activityName, attempt, workflowId, workflowName, taskQueue } = this;
      this.#log = boundLogger(this.#attempt.logger, { activityName, attempt, workflowId, workflowName, taskQueue });
    }
    return this.#log;
  }

  get signal(): AbortSignal {
    return this.#attempt.abort.signal;
  }

  get transaction(): ActivityTransaction {
    const transaction = this.#attempt.transaction?.() ?? null;
    if (transaction !== null) return transaction;
    throw new TransactionError(
      'getContext().transaction: this activity has none. Call it with transactional: true (proxyActivities, run)',
      'none',
    );
  }

  get taskToken(): string {
    if (this.#attempt.transaction !== null) {
      throw new InvalidArgumentError(
        'getContext().taskToken: a transactional activity is completed by its own commit; call it without transactional',
      );
    }
    return this.#attempt.giveToken();
  }

  get heartbeatDetails(): unknown {
    return this.#attempt.heartbeatDetails;
  }

  /** A getter, so that it may be taken out of the context. */
  get heartbeat(): (details?: unknown) => void {
    return (details) => {
      ranUntilNow(this.#attempt);
      const aborted = this.#attempt.abort.outcome;
      if (aborted !== null) throw aborted.reason;
      const text = encodePayload(details, 'details');
      this.#attempt.timeLimits?.beat();
      this.#attempt.heartbeat(text);
    };
  }
}
