/** `Durable.activity`: what an activity function may know about its call. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { PerdureError } from '../core/errors.js';

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
  /** Aborted when the attempt timed out, the workflow was cancelled or ended, or the worker stops. */
  readonly signal: AbortSignal;
}

const storage = new AsyncLocalStorage<ActivityContext>();

export function runInActivity<T>(context: ActivityContext, run: () => T): T {
  return storage.run(context, run);
}

/** The call the current async context belongs to, or undefined. */
export function activityHere(): ActivityContext | undefined {
  return storage.getStore();
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
  const context = storage.getStore();
  if (context === undefined)
    throw new ActivityContextError('Durable.activity.getContext() called outside of an activity execution context');
  return context;
}

class ActivityContextError extends PerdureError {}

export const activity = { getContext } as const;
