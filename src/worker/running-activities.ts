/**
 * The activity attempts that run in this process, by operation.
 *
 * An attempt is *eager* while it belongs to the thread that scheduled it and has no row of its own, and *claimed* when
 * it has a task row in this worker's name.
 */

import type { LazyAbort } from '../activity/lazy-abort.js';
import type { RetrySpec } from '../core/history.js';
import type { ActiveThread } from './active-thread.js';
import { type OperationKey, operationKey } from './operation-key.js';
import type { Serving } from './serving.js';

export interface RunningActivity {
  readonly threadNo: number;
  readonly op: number;
  readonly serving: Serving;
  readonly name: string;
  readonly abort: LazyAbort;
  readonly retry: RetrySpec;
  readonly attempt: number;
  /** The thread it runs eagerly for; null once it is a task like any other. */
  thread: ActiveThread | null;
  /** Of its task row, when it has one. */
  task: { readonly epoch: number; readonly claimNo: number } | null;
  /** Nobody waits for it any more. */
  abandoned: boolean;
}

export class RunningActivities {
  readonly #running = new Map<OperationKey, RunningActivity>();

  get(threadNo: number, op: number): RunningActivity | undefined {
    return this.#running.get(operationKey(threadNo, op));
  }

  add(activity: RunningActivity): void {
    this.#running.set(operationKey(activity.threadNo, activity.op), activity);
    activity.serving.activities++;
  }

  remove(activity: RunningActivity): void {
    if (this.get(activity.threadNo, activity.op) !== activity) return;
    this.#running.delete(operationKey(activity.threadNo, activity.op));
    activity.serving.activities--;
    activity.serving.slotFreed();
  }

  all(): RunningActivity[] {
    return [...this.#running.values()];
  }

  /** The eager ones of a thread. */
  of(thread: ActiveThread): RunningActivity[] {
    const found: RunningActivity[] = [];
    for (const op of thread.open.keys()) {
      const activity = this.get(thread.threadNo, op);
      if (activity?.thread === thread) found.push(activity);
    }
    return found;
  }

  /** Tells the function that nobody waits; its outcome will be dropped. Its slot is free when it ends. */
  abandon(activity: RunningActivity, reason: Error): void {
    activity.abandoned = true;
    activity.abort.abort(reason);
  }
}
