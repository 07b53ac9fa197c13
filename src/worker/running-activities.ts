/**
 * The activity attempts that run in this process, by operation.
 *
 * An attempt is *eager* while it belongs to the thread that scheduled it and has no row of its own, and *claimed* when
 * it has a task row in this worker's name. A *bound* one, whose function the call brought along, belongs to its thread
 * with and without a row.
 */

import { type Attempt, AttemptContext, type AttemptOutcome, type CallFacts } from '../activity/attempt.js';
import type { ActivityContext, ActivityTransaction } from '../activity/context.js';
import { LazyAbort } from '../activity/lazy-abort.js';
import type { AttemptLimits, TimeLimits } from '../activity/time-limits.js';
import { encodeTaskToken } from '../codec/task-token.js';
import type { RetrySpec } from '../core/history.js';
import { idempotencyKey, type Lineage } from '../core/lineage.js';
import type { Logger } from '../core/logger.js';
import type { ActiveThread } from './active-thread.js';
import { type OperationKey, operationKey } from './operation-key.js';
import type { UserFunction } from './options.js';
import type { Serving } from './serving.js';
import type { AttemptSpan } from './span-reporter.js';

/** What is known of an attempt when it begins. */
export interface AttemptFacts {
  readonly threadNo: number;
  readonly op: number;
  readonly serving: Serving;
  readonly name: string;
  readonly retry: RetrySpec;
  readonly attempt: number;
  /** The run's request number, which begins its idempotency keys. */
  readonly requestNo: number;
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
  readonly arguments: readonly unknown[];
  /** Null: none. */
  readonly headers: Record<string, unknown> | null;
  readonly taskQueue: string;
  readonly workflowId: string;
  readonly workflowName: string;
  readonly limits: AttemptLimits | null;
  readonly heartbeatDetails: unknown;
  /** The trace context of its run. */
  readonly trace: string | null;
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
  attemptEnded(activity: RunningActivity, outcome: AttemptOutcome): void;
}

export class RunningActivity implements Attempt {
  readonly is: AttemptFacts;
  /** The function, within whatever is around it. */
  run: UserFunction;
  /** Of a transactional one, while it runs. */
  transaction: (() => ActivityTransaction | null) | null = null;
  /** How its transaction ended: committed, or for reasons that are not its function's, as far as is known. */
  transactionState: 'open' | 'committed' | 'interrupted' = 'open';
  timeLimits: TimeLimits | null = null;
  span: AttemptSpan | null = null;
  /** By the monotonic clock; 0 where nobody measures. */
  begunAt = 0;
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
  #abort: LazyAbort | null = null;
  #context: ActivityContext | null = null;

  constructor(facts: AttemptFacts, run: UserFunction, runner: RunsAttempts) {
    this.is = facts;
    this.run = run;
    this.thread = facts.thread;
    this.task = facts.task;
    this.#runner = runner;
  }

  get threadNo(): number {
    return this.is.threadNo;
  }

  get op(): number {
    return this.is.op;
  }

  get serving(): Serving {
    return this.is.serving;
  }

  get activityName(): string {
    return this.is.name;
  }

  /** The run's, which begins its idempotency keys. */
  get seed(): string {
    return String(this.is.requestNo);
  }

  get arguments(): readonly unknown[] {
    return this.is.arguments;
  }

  get limits(): AttemptLimits | null {
    return this.is.limits;
  }

  get heartbeatDetails(): unknown {
    return this.is.heartbeatDetails;
  }

  get nonRetryableErrorTypes(): readonly string[] {
    return this.is.retry.nonRetryableErrorTypes ?? [];
  }

  get logger(): Logger {
    return this.is.serving.logger;
  }

  get abort(): LazyAbort {
    this.#abort ??= new LazyAbort();
    return this.#abort;
  }

  get context(): ActivityContext {
    this.#context ??= new AttemptContext(this);
    return this.#context;
  }

  facts(): CallFacts {
    const { headers, workflowId, workflowName, taskQueue, name, attempt, lineage, threadNo, op } = this.is;
    return {
      headers: headers ?? {},
      workflowId,
      workflowName,
      workflowTopic: `${taskQueue}-${name}`,
      taskQueue,
      namespace: this.#runner.namespace,
      attempt,
      idempotencyKey: idempotencyKey(lineage, this.seed, threadNo, op),
    };
  }

  whoRuns(): Record<string, unknown> {
    const { name, attempt, workflowName, workflowId, taskQueue } = this.is;
    return { activityName: name, attempt, workflowName, workflowId, taskQueue };
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
    return encodeTaskToken({ ...this.is, seed: this.seed, namespace: this.#runner.namespace });
  }

  ended(outcome: AttemptOutcome): void {
    this.#runner.attemptEnded(this, outcome);
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

  /** Of the functions, at most so many. */
  names(limit: number): string[] {
    const names = new Set<string>();
    for (const { activityName } of this.#running.values()) if (names.size < limit) names.add(activityName);
    return [...names];
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
