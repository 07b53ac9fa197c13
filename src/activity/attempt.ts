/** Runs one attempt of an activity: context, time limits, heartbeats, abort; its outcome as stored text. */

import { encodePayload } from '../codec/payload.js';
import { CompleteAsyncError, InvalidArgumentError, TransactionError } from '../core/errors.js';
import { type Failure, failureFromError, isRetryable, nextRetryDelayMs } from '../core/failure.js';
import { boundLogger, type Log, type Logger } from '../core/logger.js';
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

/** What an attempt tells whoever runs it. */
export interface AttemptPort {
  heartbeat(details: string | null): void;
  /** Somebody else may answer from now on. */
  giveToken(): string;
}

/** What is known of the call beforehand; the rest comes with the attempt. */
export type CallFacts = Omit<
  ActivityContext,
  'activityName' | 'arguments' | 'signal' | 'taskToken' | 'heartbeat' | 'heartbeatDetails' | 'log' | 'transaction'
>;

export interface Attempt {
  readonly run: (...args: never[]) => unknown;
  readonly activityName: string;
  readonly arguments: readonly unknown[];
  /** The rest of what its context tells. */
  readonly facts: () => CallFacts;
  readonly port: AttemptPort;
  readonly abort: LazyAbort;
  readonly limits: AttemptLimits | null;
  /** What the last heartbeat of the attempts before said. */
  readonly heartbeatDetails: unknown;
  readonly nonRetryableErrorTypes: readonly string[];
  /** Of a transactional one, while it runs. */
  readonly transaction: (() => ActivityTransaction | null) | null;
  /** Of the worker that runs it. */
  readonly logger: Logger;
}

/**
 * A late attempt is answered at its limit; its function is told by the abort signal and its result dropped.
 *
 * @param ended Called once, later than this returns. Must not throw.
 */
export function runAttempt(attempt: Attempt, ended: (outcome: AttemptOutcome) => void): void {
  const { run, abort, nonRetryableErrorTypes } = attempt;
  const limits = attempt.limits === null ? null : new TimeLimits(attempt.activityName, attempt.limits, abort);
  const failed = (error: unknown): AttemptOutcome => {
    if (error instanceof CompleteAsyncError) return { kind: 'outside' };
    const timedOut = limits !== null && error === limits.error;
    return {
      kind: 'failed',
      failure: failureFromError(error),
      retryable: timedOut ? limits.retryable : isRetryable(error, nonRetryableErrorTypes),
      nextRetryMs: nextRetryDelayMs(error),
    };
  };
  // An async function, so that what it throws at once is a rejection like any other.
  const call = runInActivity(new Call(attempt, limits), async () => run(...(attempt.arguments as never[])));
  (limits === null ? call : Promise.race([call, limits.reached])).then(
    (value) => {
      limits?.clear();
      ended(encoded(value, failed));
    },
    (error: unknown) => {
      limits?.clear();
      ended(failed(error));
    },
  );
}

/** A result that cannot be stored fails the attempt. */
function encoded(value: unknown, failed: (error: unknown) => AttemptOutcome): AttemptOutcome {
  try {
    return { kind: 'done', text: encodePayload(value, 'result') };
  } catch (error) {
    return failed(error);
  }
}

class Call implements ActivityCall {
  readonly #attempt: Attempt;
  readonly #limits: TimeLimits | null;
  #context: ActivityContext | null = null;

  constructor(attempt: Attempt, limits: TimeLimits | null) {
    this.#attempt = attempt;
    this.#limits = limits;
  }

  get context(): ActivityContext {
    this.#context ??= new AttemptContext(this.#attempt, this.#limits);
    return this.#context;
  }
}

/** The context of one attempt; what few activities ask for is made when it is asked for. */
class AttemptContext implements ActivityContext {
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
  readonly #limits: TimeLimits | null;
  #log: Log | null = null;

  constructor(attempt: Attempt, limits: TimeLimits | null) {
    this.activityName = attempt.activityName;
    this.arguments = attempt.arguments;
    Object.assign(this, attempt.facts());
    this.#attempt = attempt;
    this.#limits = limits;
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
    return this.#attempt.port.giveToken();
  }

  get heartbeatDetails(): unknown {
    return this.#attempt.heartbeatDetails;
  }

  /** A getter, so that it may be taken out of the context. */
  get heartbeat(): (details?: unknown) => void {
    return (details) => {
      const aborted = this.#attempt.abort.outcome;
      if (aborted !== null) throw aborted.reason;
      const text = encodePayload(details, 'details');
      this.#limits?.beat();
      this.#attempt.port.heartbeat(text);
    };
  }
}
