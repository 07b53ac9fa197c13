/** What is said of a thread that this worker cannot carry on: that its code is not to blame where it is not. */
import { NondeterminismError } from '../core/errors.js';
import { isServerFault, type SqlError } from '../postgres/sql-error.js';

/** @returns the line of the log, and the words that stand in the database and in `explain()`. */
export function blockedBecause(reason: Error): { line: string; words: string } {
  const words = `${reason.name}: ${reason.message}`;
  if (reason instanceof NondeterminismError)
    return { line: 'a workflow is blocked: its history does not fit the code of this worker', words };
  if (!isServerFault(reason)) return { line: 'a workflow is blocked: this worker cannot go on with it', words };
  const { code, message } = reason as SqlError;
  return {
    line: 'a workflow is blocked: the database failed at it again and again',
    words: `the database failed at it again and again, with its internal error ${code}: ${message}`,
  };
}
