/**
 * Outcomes: errors that are stored as the end of an activity or a workflow and reach whoever waits for it.
 * Users throw the `Durable...` ones themselves to decide about retries.
 */
import { markErrorClass, PerdureError } from './branded-error.js';

export abstract class OutcomeError extends PerdureError {
  /**
   * @param message What happened.
   * @param stack The stack of the place where it happened, when that is another process; or the usual options, to give a
   *   `cause`. Default: the stack of this call.
   */
  constructor(message?: string, stack?: string | ErrorOptions) {
    super(message, typeof stack === 'object' ? stack : undefined);
    if (typeof stack === 'string') this.stack = stack;
  }
}

/**
 * A failure that retrying does not mend. Thrown by an activity or workflow it ends the retries at once; a workflow gets it
 * when an activity failed for good, with the activity's own error as `cause`.
 *
 * @example
 * async function charge(card: string) {
 *   if (!isCard(card)) throw new DurableFatalError(`not a card number`);
 * }
 */
export class DurableFatalError extends OutcomeError {
  readonly code: number = 598;
  static {
    markErrorClass(this, 'DurableFatalError');
  }
}

/** All retries were used up. Thrown by a user's function it ends the retries at once. */
export class DurableMaxedError extends OutcomeError {
  readonly code: number = 597;
  static {
    markErrorClass(this, 'DurableMaxedError');
  }
}

/** Which limit of an activity was exceeded, in the words Temporal uses. */
export type ActivityTimeoutType = 'START_TO_CLOSE' | 'SCHEDULE_TO_CLOSE' | 'SCHEDULE_TO_START' | 'HEARTBEAT';

/** Which limit of an activity or a workflow was exceeded. */
export type TimeoutType = ActivityTimeoutType | 'WORKFLOW_EXECUTION' | 'WORKFLOW_RUN';

/**
 * An activity exceeded a limit: `startToCloseTimeout`, `scheduleToCloseTimeout`, `scheduleToStartTimeout` or
 * `heartbeatTimeout`; or a workflow its `workflowExecutionTimeout` or `workflowRunTimeout`. `timeoutType` says which. Thrown by a user's function it ends the retries at once.
 */
export class DurableTimeoutError extends OutcomeError {
  readonly code: number = 596;
  /** Set where the engine made the error. */
  declare readonly timeoutType?: TimeoutType;
  static {
    markErrorClass(this, 'DurableTimeoutError');
  }
}

/**
 * Thrown by an activity whose result comes from elsewhere, later: `client.activity.complete(taskToken, result)`. The
 * attempt then ends without an outcome; its limits go on.
 */
export class CompleteAsyncError extends OutcomeError {
  static {
    markErrorClass(this, 'CompleteAsyncError');
  }

  constructor(message = 'the activity is completed from outside', stack?: string | ErrorOptions) {
    super(message, stack);
  }
}

/** A failure that may be retried. A user's function that throws it is retried as with any other error. */
export class DurableRetryError extends OutcomeError {
  readonly code: number = 599;
  static {
    markErrorClass(this, 'DurableRetryError');
  }
}

/** An activity was lost with its worker again and again: its code probably ends the process. Final, like every fatal error. */
export class ActivityLostError extends DurableFatalError {
  static {
    markErrorClass(this, 'ActivityLostError');
  }
}

/**
 * The workflow was asked to cancel. Raised once by the durable call that is pending (or by the next one); later calls run
 * normally. Has no `code` inside the workflow, 598 when it ended the workflow.
 */
export class CancelledFailure extends OutcomeError {
  declare readonly code?: number;
  static {
    markErrorClass(this, 'CancelledFailure');
  }

  constructor(message = 'Workflow cancelled', stack?: string | ErrorOptions) {
    super(message, stack);
  }
}

/** The workflow was terminated from outside. `message` is the reason that was given, `code` 410 or the one that was given. */
export class TerminatedError extends OutcomeError {
  readonly code: number;
  static {
    markErrorClass(this, 'TerminatedError');
  }

  constructor(message: string, { code = 410, job_id, stack }: { code?: number; job_id?: string; stack?: string } = {}) {
    super(message, stack);
    this.code = code;
    if (job_id !== undefined) this.job_id = job_id;
  }
}
