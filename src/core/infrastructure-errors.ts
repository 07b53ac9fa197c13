/** Infrastructure: what went wrong between the engine and its database, or between stored history and deployed code. */
import { markErrorClass, PerdureError } from './branded-error.js';

/** The database could not be reached in the time a client waits for it. The call may or may not have taken effect. */
export class ConnectionError extends PerdureError {
  static {
    markErrorClass(this, 'ConnectionError');
  }
}

/** A call was made in a transaction of another isolation level than READ COMMITTED, where parking and fencing would be unsound. */
export class IsolationLevelError extends PerdureError {
  static {
    markErrorClass(this, 'IsolationLevelError');
  }
}

/** This worker was declared dead, or the task or thread now belongs to another. Its work is done again elsewhere. */
export class LeaseLostError extends PerdureError {
  static {
    markErrorClass(this, 'LeaseLostError');
  }

  /** @param workerNo Whose lease it was; null when that is not known. */
  constructor(
    message: string,
    readonly workerNo: number | null = null,
  ) {
    super(message);
  }
}

/** The namespace's schema and this code do not fit together. */
export class SchemaVersionError extends PerdureError {
  static {
    markErrorClass(this, 'SchemaVersionError');
  }

  /**
   * @param message What does not fit, and which side to upgrade.
   * @param versions Version of the schema in the database, and of this library's schema.
   */
  constructor(
    message: string,
    readonly versions: { readonly database?: number; readonly library?: number } = {},
  ) {
    super(message);
  }
}

/** Stored text could not be read or written: wrong or missing key, failing codec, damaged text. Never carries content. */
export class PayloadCodecError extends PerdureError {
  static {
    markErrorClass(this, 'PayloadCodecError');
  }
}

/** What {@link NondeterminismError} compared. */
export interface Mismatch {
  /** Number of the history entry, counted from 0 in its thread. */
  readonly entry: number;
  /** What the history records there, e.g. `activity "charge"`; null: nothing. */
  readonly recorded: string | null;
  /** What the code did instead; null: nothing. */
  readonly produced: string | null;
  /** Source line of the call that the code made, where it is known. */
  readonly location: string | null;
}

/**
 * The code did something else than the history records. Nothing is harmed: the workflow is blocked and goes on once code
 * that fits its history is deployed.
 */
export class NondeterminismError extends PerdureError implements Mismatch {
  readonly entry: number;
  readonly recorded: string | null;
  readonly produced: string | null;
  readonly location: string | null;
  static {
    markErrorClass(this, 'NondeterminismError');
  }

  constructor({ entry, recorded, produced, location }: Mismatch) {
    const at = location === null ? '' : ` at ${location}`;
    super(
      `history entry ${entry} records ${recorded ?? 'nothing'}, but this code produced ${produced ?? 'nothing'}${at}. ` +
        `Deploy code that fits this history (put changes behind patched()); the workflow then goes on by itself`,
    );
    this.entry = entry;
    this.recorded = recorded;
    this.produced = produced;
    this.location = location;
  }
}
