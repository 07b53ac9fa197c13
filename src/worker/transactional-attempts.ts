/**
 * Attempts of transactional activities: the function's writes and its completion are one commit.
 *
 * Owns: what is committed with the function, and what it means when that fails. Does not own: the transaction
 * (postgres/activity-transaction.ts), attempts (activity-runner.ts).
 *
 * 1. Such an attempt always has a task row, in this worker's name. The transaction's last statement takes the row away and
 *    puts the result into the thread's inbox: whoever lost the row (lease over, limit exceeded, cancelled, workflow ended) is
 *    refused by it, and rolled back.
 * 2. When nobody can tell whether it was committed, the row can: given back, it is there or it is not.
 * 3. What is not the function's fault uses up no attempt.
 */

import { randomUUID } from 'node:crypto';
import type { ActivityTransaction } from '../activity/context.js';
import { encodePayload } from '../codec/payload.js';
import {
  CompleteAsyncError,
  errorFromSqlState,
  InvalidArgumentError,
  LeaseLostError,
  PayloadCodecError,
  TransactionError,
} from '../core/errors.js';
import { NotCommitted } from '../postgres/activity-transaction.js';
import { messageOf } from '../postgres/patience.js';
import { finishInTransaction } from '../postgres/protocol/tasks.js';
import { SqlError } from '../postgres/sql-error.js';
import type { HostContext } from './host-context.js';
import type { UserFunction } from './options.js';
import type { RunningActivity } from './running-activities.js';

/** A transaction in which nothing was asked for so long is ended by the server: its process hangs, or is gone without a word. */
const IDLE_AT_MOST_MS = 60_000;
/** Faults of the server or the connection, locks that were not to be had, an attempt that is not the current one any more. */
const PASSING = /^(40|53|57|58|XX|08)|^55P03$/;

export interface TransactionalRun {
  readonly run: UserFunction;
  /** What the function is handed. */
  transaction(): ActivityTransaction | null;
}

/** An attempt's function as one that runs in a transaction, and completes the activity with its commit. */
export function inTransaction(
  host: HostContext,
  activity: RunningActivity,
  run: UserFunction,
  startToCloseMs: number | null,
): TransactionalRun {
  let handed: ActivityTransaction | null = null;
  const options = {
    mark: randomUUID(),
    statementMs: startToCloseMs ?? 0,
    idleMs: startToCloseMs ?? IDLE_AT_MOST_MS,
    signal: activity.abort.signal,
  };
  const runAndCommit = async (...args: never[]): Promise<unknown> => {
    let value: unknown;
    const rows = await host.transaction(options, async (transaction) => {
      handed = transaction as ActivityTransaction;
      value = await run(...args);
      const payload = sealed(activity, encodePayload(value, 'result'));
      return finishInTransaction(host.schema, {
        mark: options.mark,
        workerNo: host.registration.workerNo,
        leaseMs: host.kind === 'pglite' ? host.tuning.leaseMs : null,
        threadNo: activity.threadNo,
        op: activity.op,
        epoch: activity.task?.epoch ?? 0,
        payload,
      });
    });
    activity.transactionState = 'committed';
    host.tell((rows[0] as { finish_in_transaction?: string } | undefined)?.finish_in_transaction ?? null);
    return value;
  };
  return {
    transaction: () => handed,
    run: async (...args: never[]) => {
      try {
        return await runAndCommit(...args);
      } catch (error) {
        throw failureOf(host, activity, error);
      }
    },
  };
}

/** Without its codec a worker is no place for this activity; another may have it. */
function sealed(activity: RunningActivity, text: string | null): string | null {
  try {
    return activity.serving.seal.seal(text);
  } catch (error) {
    activity.transactionState = 'interrupted';
    throw error;
  }
}

/** What the attempt failed with, if it is its function's doing; else it is marked as interrupted. */
function failureOf(host: HostContext, activity: RunningActivity, error: unknown): unknown {
  if (error instanceof CompleteAsyncError) {
    const message = 'a transactional activity is completed by its own commit; call it without transactional';
    return Object.assign(new InvalidArgumentError(message), { nonRetryable: true });
  }
  if (error instanceof PayloadCodecError && activity.transactionState === 'interrupted') return error;
  if (!(error instanceof NotCommitted)) return error;
  const { cause } = error;
  if (!(cause instanceof SqlError)) return interrupted(host, activity, error, messageOf(cause));
  const known = errorFromSqlState(cause.code, cause.message);
  if (known instanceof LeaseLostError) host.callFailed('finish_in_transaction', known);
  if (known instanceof LeaseLostError || PASSING.test(cause.code)) {
    return interrupted(host, activity, error, cause.code);
  }
  // Repeated, it would do again what its own commit has kept.
  if (known !== null) return Object.assign(known, { nonRetryable: true });
  if (cause.code !== '25P02') return cause.cause; // a constraint that is checked at the commit
  const message =
    'a statement of this activity failed, and the error was caught: Postgres commits nothing of such a transaction. Let it pass, or use a savepoint';
  return new TransactionError(message, 'ended');
}

function interrupted(host: HostContext, activity: RunningActivity, error: NotCommitted, reason: string): NotCommitted {
  activity.transactionState = 'interrupted';
  const { activityName, threadNo } = activity;
  const known = activity.abandoned || reason === '40001'; // who has it now is told of elsewhere
  host.logger[known ? 'debug' : 'warn'](
    { activityName, threadNo, reason },
    `${error.message}; its activity runs again`,
  );
  return error;
}
