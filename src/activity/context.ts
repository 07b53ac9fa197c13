/** `Durable.activity`: what an activity function may know about its call. */

import { carried } from '../context/carried.js';
import { CompleteAsyncError, PerdureError } from '../core/errors.js';
import type { Log } from '../core/logger.js';

/** The transaction of an activity, by what all its forms have in common. */
export interface ActivityTransaction {
  /** Runs one statement with `$1`, `$2`, ... */
  // biome-ignore lint/suspicious/noExplicitAny: rows are what the statement says
  query<R = any>(text: string, values?: any[]): Promise<{ rows: R[] }>;
}

/** The call an activity function runs for. */
export interface ActivityContext {
  readonly activityName: string;
  readonly arguments: readonly unknown[];
  readonly headers: Readonly<Record<string, unknown>>;
  readonly workflowId: string;
  readonly workflowName: string;
  /** `"{taskQueue}-{activityName}"` */
  readonly workflowTopic: string;
  readonly taskQueue: string;
  readonly namespace: string;
  /** 1 for the first attempt, one more with each retry. An attempt that was lost with its process is not counted. */
  readonly attempt: number;
  /** The same for every attempt of this call, and for no other call: hand it to the API you call. */
  readonly idempotencyKey: string;
  /**
   * Writes to the logger of the worker that runs the attempt: pino's methods. Each message carries `activityName`, `attempt`,
   * `workflowId`, `workflowName` and `taskQueue`.
   */
  readonly log: Log;
  /** Aborted when the attempt timed out, the workflow was cancelled or ended, or the worker stops. */
  readonly signal: AbortSignal;
  /**
   * The transaction of a transactional activity: the client of `pg`, or what PGlite's `transaction` hands out, to be given to
   * Drizzle, Kysely and the like, or as `transaction` to `client.workflow.start` and others. It is committed when the activity
   * returns and rolled back when it throws.
   * @throws {TransactionError} in an activity that is not transactional.
   */
  readonly transaction: ActivityTransaction;
  /** What the last heartbeat of the attempts before said; undefined when there was none. */
  readonly heartbeatDetails: unknown;
  /** See {@link activity.heartbeat}. */
  readonly heartbeat: (details?: unknown) => void;
  /**
   * Lets this attempt be completed from elsewhere, in any process, also after this one is gone:
   * `client.activity.complete(taskToken, result)`. Throw a `CompleteAsyncError` then.
   */
  readonly taskToken: string;
}

/** A call that runs. Its context is made when it is asked for: most activities do without. */
export interface ActivityCall {
  readonly context: ActivityContext;
}

export function runInActivity<A extends unknown[], T>(call: ActivityCall, run: (...args: A) => T, args: A): T {
  return carried.run(call, run, ...args);
}

/** The call the current async context belongs to, or undefined. */
export function activityHere(): ActivityContext | undefined {
  const call = carried.getStore();
  return call !== undefined && 'context' in call ? (call as ActivityCall).context : undefined;
}

/**
 * The call the current activity runs for.
 * @throws when called outside an activity.
 *
 * @example
 * export async function charge(orderId: string) {
 *   const { idempotencyKey, signal } = Durable.activity.getContext();
 *   return post('/charges', { orderId }, { headers: { 'idempotency-key': idempotencyKey }, signal });
 * }
 */
function getContext(): ActivityContext {
  const context = activityHere();
  if (context === undefined)
    throw new ActivityContextError('Durable.activity.getContext() called outside of an activity execution context');
  return context;
}

/**
 * Says that the current activity is alive and how far it came. The next attempt finds the details of the last heartbeat as
 * `getContext().heartbeatDetails`. With a `heartbeatTimeout` an attempt that is silent for longer is given up. Returns at
 * once; what follows within a fifth of a second is sent together, and the last one counts.
 *
 * @param details A JSON value. Without it the details before stay.
 * @throws the reason when the attempt is over: its workflow was cancelled or ended, a limit exceeded, the worker stops. Whatever
 *   it returned now would be dropped.
 *
 * @example
 * for (let line = Durable.activity.getContext().heartbeatDetails ?? 0; line < lines.length; line++) {
 *   await load(lines[line]);
 *   Durable.activity.heartbeat(line + 1);
 * }
 */
function heartbeat(details?: unknown): void {
  const context = activityHere();
  if (context === undefined)
    throw new ActivityContextError('Durable.activity.heartbeat() called outside of an activity execution context');
  context.heartbeat(details);
}

class ActivityContextError extends PerdureError {}

export const activity = { getContext, heartbeat, CompleteAsyncError } as const;
