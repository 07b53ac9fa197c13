/** Misuse: errors thrown at once to whoever made the call, before or instead of any effect. */
import { markErrorClass, PerdureError } from './branded-error.js';

/**
 * An argument or option was refused. The message has the form
 * `<call>: <path> must be <rule>; got <type or value>. <what to do>`.
 */
export class InvalidArgumentError extends PerdureError {
  static {
    markErrorClass(this, 'InvalidArgumentError');
  }
}

/** The role that the call was made with lacks a right. The message names the role and what it may not do. Nothing was done. */
export class PermissionError extends PerdureError {
  static {
    markErrorClass(this, 'PermissionError');
  }
}

/** A value cannot be stored as JSON without losing something, or is nested too deep. The message names its path, never its content. */
export class PayloadError extends PerdureError {
  static {
    markErrorClass(this, 'PayloadError');
  }
}

/** What {@link PayloadTooLargeError} knows about the value. */
export interface PayloadSize {
  /** Where the value stands, e.g. `args[0]`. */
  readonly path?: string;
  /** Bytes of the encoded value; a lower bound when the encoding was given up early. */
  readonly size?: number;
  /** Bytes allowed. */
  readonly limit?: number;
}

/** A value is larger than what may be stored in one piece (8 MiB by default). Store it elsewhere and pass a reference. */
export class PayloadTooLargeError extends PayloadError implements PayloadSize {
  declare readonly path?: string;
  declare readonly size?: number;
  declare readonly limit?: number;
  static {
    markErrorClass(this, 'PayloadTooLargeError');
  }

  constructor(message: string, size: PayloadSize = {}) {
    super(message);
    Object.assign(this, size);
  }
}

/** A workflow id is taken in its namespace, by a running workflow or by a finished one that is still kept. */
export class DuplicateJobError extends PerdureError {
  static {
    markErrorClass(this, 'DuplicateJobError');
  }

  constructor(
    readonly jobId: string,
    message = `Duplicate job: ${jobId}`,
  ) {
    super(message);
  }
}

/** Why {@link ActivityNotFoundError}: no such call; it has its outcome already; a later attempt took its place. */
export type ActivityNotFoundReason = 'unknown' | 'finished' | 'superseded';

/** No activity waits for what was sent under a task token. */
export class ActivityNotFoundError extends PerdureError {
  static {
    markErrorClass(this, 'ActivityNotFoundError');
  }

  constructor(
    message: string,
    readonly reason: ActivityNotFoundReason = 'unknown',
  ) {
    super(message);
  }
}

/** No workflow of this id is stored: it never existed, or was pruned. */
export class GetStateError extends PerdureError {
  readonly code = 404;
  static {
    markErrorClass(this, 'GetStateError');
  }

  constructor(
    readonly jobId: string,
    message = `${jobId} Not Found`,
  ) {
    super(message);
  }
}

/** The workflow is finished, so what was asked of it cannot be done any more. */
export class InactiveJobError extends PerdureError {
  static {
    markErrorClass(this, 'InactiveJobError');
  }

  constructor(
    readonly jobId: string,
    message = `Job ${jobId} already completed`,
  ) {
    super(message);
  }
}

/**
 * Why {@link OperationRefusedError}: the id is reserved only (`pending`); the history has no such entry, or none that can be gone back to
 * (`entry`); the run did not fail (`not failed`); a run of the id came after it (`superseded`); a child of it is under way,
 * which a fork cannot share (`child`); it goes on too fast to be copied (`busy`).
 */
export type OperationRefusal = 'pending' | 'entry' | 'not failed' | 'superseded' | 'child' | 'busy';

/** The workflow is not in a state in which this can be done: nothing was changed. `reason` says why, the message what to do. */
export class OperationRefusedError extends PerdureError {
  static {
    markErrorClass(this, 'OperationRefusedError');
  }

  constructor(
    readonly jobId: string,
    readonly reason: OperationRefusal,
    message: string,
  ) {
    super(message);
  }
}

/** The workflow exists and has not ended, but takes no hook: it was started so, or is not started yet. */
export class HookRefusedError extends PerdureError {
  static {
    markErrorClass(this, 'HookRefusedError');
  }

  constructor(
    readonly jobId: string,
    message = `Job ${jobId} takes no hooks: it was started with signalIn: false`,
  ) {
    super(message);
  }
}

/**
 * A search or entity call met something else than it works on: text to be counted with, an array where an object should be.
 * Nothing was changed. The same in every replay.
 */
export class DocumentError extends PerdureError {
  static {
    markErrorClass(this, 'DocumentError');
  }
}

/** A function that belongs inside a workflow was called where no workflow runs. */
export class WorkflowContextError extends PerdureError {
  static {
    markErrorClass(this, 'WorkflowContextError');
  }

  /** @param call The function as the user wrote it, e.g. `sleep`. */
  constructor(
    readonly call: string,
    message = `${call}: called outside of a workflow. Call it from a function that a worker runs; ` +
      'wrap the callback of an event emitter, a queue or a timer with AsyncResource.bind',
  ) {
    super(message);
  }
}

/**
 * Workflows of one process share what they must not: a durable call ran in the context of another execution than the one it
 * was made for (a batching loader, whose callback runs for whoever came first), or an execution went on because another one
 * was given something (a memoised promise, a queue, a limiter), of which its own history knows nothing.
 * Final: tried again it may pass by chance, when the other execution has ended.
 */
export class SharedPromiseError extends PerdureError {
  static {
    markErrorClass(this, 'SharedPromiseError');
  }

  readonly nonRetryable = true;

  /**
   * @param call The function as the user wrote it, e.g. `sleep`.
   * @param how `borrowed`: it was called in the context of another execution. `woken`: its own execution went on because of
   *   another one.
   */
  constructor(
    readonly call: string,
    how: 'borrowed' | 'woken' = 'borrowed',
  ) {
    super(
      how === 'borrowed'
        ? `${call}: called in the context of another execution. A promise, cache or loader is shared between workflows; ` +
            `make one per workflow, or wrap its callback with AsyncResource.bind`
        : `${call}: this execution went on because of another one. A promise, cache, queue or limiter is shared between ` +
            'workflows, and a replay would wait for it in vain; make one per workflow, or put what is shared into an activity',
    );
  }
}

/** Workflow code asked for what differs each time (the clock, chance, a timer, the outside world), under a worker with `determinism: 'strict'`. */
export class DeterminismError extends PerdureError {
  /** The code would do the same again. */
  readonly nonRetryable = true;
  static {
    markErrorClass(this, 'DeterminismError');
  }
}

/**
 * A call of a client was made inside a transaction on the PGlite object that both use. The object runs one thing at a
 * time: the call would wait for the transaction, and the transaction for the call.
 */
export class InsideTransactionError extends PerdureError {
  static {
    markErrorClass(this, 'InsideTransactionError');
  }

  constructor(
    message = 'this call is made inside db.transaction() of the PGlite that it needs itself, so each would wait for the other. Make it before the transaction, or when that has ended',
  ) {
    super(message);
  }
}

/**
 * Why {@link TransactionError}:
 * - `outside`: the connection is in no transaction, or each query goes to another connection;
 * - `elsewhere`: the transaction belongs to another database than the client;
 * - `readOnly`: it may not write;
 * - `held`: somebody else's transaction held a row that was needed for 5 s;
 * - `none`: this activity is not transactional;
 * - `ended`: the code of a transactional activity ended its transaction itself, or uses it behind its end;
 * - `fenced`: the attempt is not the current one any more.
 */
export type TransactionErrorReason = 'outside' | 'elsewhere' | 'readOnly' | 'held' | 'none' | 'ended' | 'fenced';

/**
 * A call could not take part in a transaction of yours: nothing was done, and your transaction goes on as it was. Or the
 * transaction of a transactional activity was not to be had any more: then it is rolled back.
 */
export class TransactionError extends PerdureError {
  static {
    markErrorClass(this, 'TransactionError');
  }

  constructor(
    message: string,
    readonly reason: TransactionErrorReason = 'outside',
  ) {
    super(message);
  }
}

/** More waits on the task queue than `maxBacklog` of the client allows. Nothing was started. */
export class QueueFullError extends PerdureError {
  readonly code = 429;
  static {
    markErrorClass(this, 'QueueFullError');
  }

  /** @param waiting How much waited: workflows that may go on, and tasks of activities. */
  constructor(
    readonly taskQueue: string,
    readonly waiting = 0,
    readonly maxBacklog = 0,
  ) {
    super(
      `start: ${waiting} workflows and activities wait on task queue "${taskQueue}", and ${maxBacklog} may. ` +
        'Start it later, or add workers',
    );
  }
}

/** As many signals are kept under the id, or for the workflow, as may be, and nobody waits for them. This one was not accepted. */
export class SignalQuotaError extends PerdureError {
  readonly code = 429;
  static {
    markErrorClass(this, 'SignalQuotaError');
  }

  /** @param signalId Null where a workflow was to be started with it. */
  constructor(
    readonly signalId: string | null,
    message = `signal: as many signals "${signalId}" are kept as may be, and nobody takes them. Send it later, or keep more ` +
      '(docs/overload.md)',
  ) {
    super(message);
  }
}
