/**
 * The activity attempts that run in this process, by operation.
 *
 * An attempt is *eager* while it belongs to the thread that scheduled it and has no row of its own, and *claimed* when
 * it has a task row in this worker's name. A *bound* one, whose function the call brought along, belongs to its thread
 * with and without a row.
 */

import type { AttemptPort } from '../activity/attempt.js';
import { LazyAbort } from '../activity/lazy-abort.js';
import { encodeTaskToken } from '../codec/task-token.js';
import type { RetrySpec } from '../core/history.js';
import type { Lineage } from '../core/lineage.js';
import type { ActiveThread } from './active-thread.js';
import { type OperationKey, operationKey } from './operation-key.js';
import type { Serving } from './serving.js';

/** What is known of an attempt when it begins. */
export interface AttemptFacts {
  readonly threadNo: number;
  readonly op: number;
  readonly serving: Serving;
  readonly name: string;
  readonly retry: RetrySpec;
  readonly attempt: number;
  /** The run's, which begins its idempotency keys. */
  readonly seed: string;
  /** Where the call may have been recorded first. */
  readonly lineage: Lineage | null;
  /** The thread it runs for while that is here; null once it is a task like any other. */
  readonly thread: ActiveThread | null;
  /** Of its task row, when it has one. */
  readonly task: TaskOfAttempt | null;
  readonly bound: boolean;
  /** Whether it runs in a transaction of its own, which completes it. */
  readonly transactional: boolean;
  /** Whether a row of it has time limits, so that the database may end the attempt. */
  readonly limited: boolean;
  /** When its scheduleToCloseTimeout is over, by the monotonic clock. */
  readonly closeAt: number;
}

export interface TaskOfAttempt {
  readonly epoch: number;
  readonly claimNo: number;
}

/** Who runs it. */
export interface RunsAttempts {
  readonly namespace: string;
  /** It said that it is alive. */
  beat(activity: RunningActivity): void;
  /** Somebody else needs its row. */
  makeRow(activity: RunningActivity): void;
}

export class RunningActivity implements AttemptPort {
  readonly threadNo: number;
  readonly op: number;
  readonly serving: Serving;
  readonly name: string;
  readonly retry: RetrySpec;
  readonly attempt: number;
  readonly seed: string;
  readonly lineage: Lineage | null;
  readonly bound: boolean;
  readonly transactional: boolean;
  readonly limited: boolean;
  readonly closeAt: number;
  /** How its transaction ended: committed, or for reasons that are not its function's, as far as is known. */
  transaction: 'open' | 'committed' | 'interrupted' = 'open';
  readonly abort = new LazyAbort();
  thread: ActiveThread | null;
  task: TaskOfAttempt | null;
  /** Nobody waits for it any more. */
  abandoned = false;
  /** Its function has ended. */
  over = false;
  /** Somebody else may answer: its own outcome counts only if it is the first to reach the row. */
  tokenGiven = false;
  /** Its row is being made. */
  makingRow = false;
  /** What its last heartbeat said, while that stands in no row. */
  unsentDetails: string | null = null;
  /** What its end waits with until then. */
  whenRowSettled: (() => void) | null = null;
  readonly #runner: RunsAttempts;
  /** Of its workflow. */
  readonly workflowId: string;
  readonly workflowName: string;

  constructor(
    facts: AttemptFacts,
    runner: RunsAttempts,
    { workflowId, workflowName }: { readonly workflowId: string; readonly workflowName: string },
  ) {
    this.workflowId = workflowId;
    this.workflowName = workflowName;
    this.threadNo = facts.threadNo;
    this.op = facts.op;
    this.serving = facts.serving;
    this.name = facts.name;
    this.retry = facts.retry;
    this.attempt = facts.attempt;
    this.seed = facts.seed;
    this.lineage = facts.lineage;
    this.bound = facts.bound;
    this.transactional = facts.transactional;
    this.limited = facts.limited;
    this.closeAt = facts.closeAt;
    this.thread = facts.thread;
    this.task = facts.task;
    this.#runner = runner;
  }

  heartbeat(details: string | null): void {
    if (this.over) return;
    if (details !== null) this.unsentDetails = details;
    this.#runner.beat(this);
  }

  giveToken(): string {
    if (!this.over) {
      this.tokenGiven = true;
      this.#runner.makeRow(this);
    }
    return encodeTaskToken({ ...this, namespace: this.#runner.namespace });
  }

  /** It is known whether there is a row. */
  rowSettled(): void {
    this.makingRow = false;
    const next = this.whenRowSettled;
    this.whenRowSettled = null;
    next?.();
  }
}

export class RunningActivities {
  readonly #running = new Map<OperationKey, RunningActivity>();

  get size(): number {
    return this.#running.size;
  }

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
    activity.rowSettled();
  }
}
