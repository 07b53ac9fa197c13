/**
 * Runs activities: eagerly for the threads of this process, and as tasks for any thread.
 *
 * Owns: slots, attempts, task rows. Does not own: the threads (owned-threads.ts), what an attempt is (activity/attempt.ts).
 *
 * Invariants:
 * 1. No activity starts before its scheduling is durable (it is started by the thread's settling, or has a task row).
 * 2. Nothing starts while the lease may be over.
 * 3. The outcome of an eager attempt goes to the thread that is here; once the thread is elsewhere it is dropped, unless
 *    the attempt has a task row of its own.
 */

import { type AttemptOutcome, runAttempt } from '../activity/attempt.js';
import { throughActivityInbound } from '../activity/interceptors.js';
import { LazyAbort } from '../activity/lazy-abort.js';
import { type ActivityInput, activityText, decodeActivityInput } from '../codec/entry-text.js';
import { encodeFailure } from '../codec/failure-text.js';
import { decodePayload } from '../codec/payload.js';
import { sealSpec } from '../codec/sealed-steps.js';
import { ActivityLostError, CancelledFailure } from '../core/errors.js';
import { type Failure, failureFromError } from '../core/failure.js';
import { retryDelayMs } from '../core/retry-policy.js';
import { Batcher } from '../postgres/batcher.js';
import { untilFree } from '../postgres/held-row.js';
import { type ClaimedTask, claimTasks, finishTasks, queueTasks, type TaskOutcome } from '../postgres/protocol/tasks.js';
import type { ActiveThread } from './active-thread.js';
import type { HostContext } from './host-context.js';
import { activityLayers } from './interceptors.js';
import type { UserFunction } from './options.js';
import { RunningActivities, type RunningActivity } from './running-activities.js';
import type { Serving } from './serving.js';
import { SlotReservations } from './slots.js';

/** How often an activity may be lost with its process before it fails for good. */
const MAX_LOSSES = 5;
/** A task that cannot run this moment is offered again after this. */
const RELEASED_FOR_MS = 200;
/** One whose payloads this worker's codec cannot read is offered again after this. */
const UNREADABLE_FOR_MS = 5_000;
/** After a restart hundreds of threads may have to be replayed before each has brought its functions. */
const BROUGHT_WITHIN_MS = 30_000;

/** What the runner needs of the threads. */
export interface ThreadsOfActivities {
  /** Whether this process owns the thread. */
  holds(thread: ActiveThread): boolean;
  /** Takes a parked thread though nothing woke it. */
  want(threadNo: number): void;
  /** Whether a live instance of the thread is here. */
  isAlive(threadNo: number): boolean;
  refused(thread: ActiveThread): void;
}

interface Call {
  readonly args: unknown[];
  readonly headers: Record<string, unknown>;
  readonly taskQueue: string;
  readonly startToCloseMs: number | null;
  readonly workflowId: string;
  readonly workflowName: string;
  readonly seed: string;
}

type Finish = Pick<TaskOutcome, 'kind' | 'payload' | 'delayMs'>;

export class ActivityRunner {
  readonly running = new RunningActivities();
  readonly #host: HostContext;
  readonly #threads: ThreadsOfActivities;
  readonly #slots = new SlotReservations();
  readonly #outcomes: Batcher<TaskOutcome, null>;
  readonly #finishing = new Set<string>();
  /** Since when a function is looked for, by workflow and name. */
  readonly #unknownSince = new Map<string, number>();

  constructor(host: HostContext, threads: ThreadsOfActivities) {
    this.#host = host;
    this.#threads = threads;
    this.#outcomes = new Batcher({
      main: host.lanes.task,
      side: host.lanes.side,
      bytes: (outcome) => 60 + (outcome.payload?.length ?? 0),
      send: async (lane, outcomes) => {
        host.tell(await finishTasks(lane, host.schema, host.registration.workerNo, outcomes));
        return outcomes.map(() => null);
      },
    });
  }

  // ---- eager activities

  /** Reserves a slot when the activity can run here. Asked before the commit that schedules it. */
  chooseEager(thread: ActiveThread, taskQueue: string, name: string, op: number): boolean {
    const { services } = this.#host;
    const implementation = thread.instance?.pending.get(op)?.implementation ?? null;
    if (implementation !== null) services.bring(thread.info, name, implementation);
    if (services.activity(thread.info, taskQueue, name) === null) return false;
    return this.#slots.reserve(thread.threadNo, op, services.activityServings(taskQueue));
  }

  startEager(thread: ActiveThread, op: number): void {
    const serving = this.#slots.take(thread.threadNo, op);
    const operation = thread.open.get(op);
    if (serving === null || operation?.kind !== 'activity') return;
    const { spec, name } = operation;
    const run = this.#host.services.activity(thread.info, spec.taskQueue, name);
    if (run === null || !this.#host.registration.alive) {
      this.queueTask(thread, op, { attempt: 1, delayMs: 0, lastFailure: null });
      return;
    }
    const activity = {
      threadNo: thread.threadNo,
      op,
      serving,
      name,
      retry: spec.retry,
      attempt: 1,
      thread,
      task: null,
    };
    this.#run(activity, run, {
      args: JSON.parse(spec.args) as unknown[],
      headers: spec.headers === null ? {} : (decodePayload(spec.headers) as Record<string, unknown>),
      taskQueue: spec.taskQueue,
      startToCloseMs: spec.startToCloseMs,
      workflowId: thread.info.workflowId,
      workflowName: thread.info.workflowName,
      seed: thread.info.seed,
    });
  }

  /**
   * What a recovered thread waits for and nobody does: activities that were eager in a process that is gone (open, no
   * task row, no mail) run again, as tasks.
   */
  rerunLost(thread: ActiveThread): void {
    for (const [op, operation] of thread.open) {
      if (operation.kind !== 'activity') continue;
      const implementation = thread.instance?.pending.get(op)?.implementation ?? null;
      if (implementation !== null) this.#host.services.bring(thread.info, operation.name, implementation);
      if (operation.hasTask || thread.hasMailFor(op)) continue;
      // As a task, which counts its losses: it may be what ended the process.
      this.queueTask(thread, op, { attempt: 1, delayMs: 0, lastFailure: null });
    }
  }

  /** Eager activities that run for long become tasks, so that their thread can be parked. @returns whether there were any. */
  makeTasks(thread: ActiveThread): boolean {
    const eager = this.running.of(thread).filter((activity) => activity.task === null);
    for (const activity of eager) {
      this.queueTask(thread, activity.op, {
        attempt: activity.attempt,
        delayMs: 0,
        lastFailure: null,
        running: activity,
      });
    }
    return eager.length > 0;
  }

  /** Gives an eager activity a task row; in turn with the commits of its thread. */
  queueTask(
    thread: ActiveThread,
    op: number,
    task: { attempt: number; delayMs: number; lastFailure: Failure | null; running?: RunningActivity },
  ): void {
    thread.postChore(async () => {
      const operation = thread.open.get(op);
      const { running } = task;
      if (operation?.kind !== 'activity' || operation.hasTask) return;
      if (running !== undefined && this.running.get(thread.threadNo, op) !== running) return; // it ended meanwhile
      const { lanes, schema, registration, claims } = this.#host;
      const claimNo = running === undefined ? null : claims.draw();
      const row = [
        {
          threadNo: thread.threadNo,
          epoch: thread.epoch,
          op,
          taskQueue: operation.spec.taskQueue,
          name: operation.name,
          input: activityText(sealSpec('activity', operation.spec, thread.seal)),
          attempt: task.attempt,
          delayMs: task.delayMs,
          claimNo,
          lastFailure: task.lastFailure === null ? null : encodeFailure(task.lastFailure, thread.seal),
        },
      ];
      const refused = await untilFree(() => queueTasks(lanes.side, schema, registration.workerNo, row));
      if (refused.length > 0) {
        this.#threads.refused(thread);
        return;
      }
      operation.hasTask = true;
      if (running !== undefined && claimNo !== null) running.task = { epoch: 1, claimNo };
      else this.#lookAfter(task.delayMs);
    });
  }

  /** The workflow does not wait for these any more. */
  abort(thread: ActiveThread, ops: readonly number[] | 'all'): void {
    for (const op of ops === 'all' ? thread.open.keys() : ops) {
      this.#slots.take(thread.threadNo, op);
      const activity = this.running.get(thread.threadNo, op);
      if (activity !== undefined && (activity.thread === thread || activity.thread === null)) {
        this.running.abandon(activity, new CancelledFailure('the workflow does not wait for this activity any more'));
      }
    }
  }

  /** The lease is lost: whoever has the threads and tasks now runs them again. */
  abandonAll(reason: Error): void {
    for (const activity of this.running.all()) {
      this.running.abandon(activity, reason);
      this.running.remove(activity);
    }
  }

  /** The worker stops: its functions are told; what did not end runs again elsewhere. */
  async leave(serving: Serving): Promise<void> {
    for (const activity of this.running.all()) {
      if (activity.serving !== serving) continue;
      this.running.abandon(activity, new Error('the worker stops'));
      this.running.remove(activity);
      if (activity.task !== null) {
        await this.#finish(activity, { kind: 'release', payload: null, delayMs: 0 }, activity.task.epoch);
      } else if (activity.thread !== null) {
        // As a task of its own, so that its thread can be parked.
        this.queueTask(activity.thread, activity.op, { attempt: activity.attempt, delayMs: 0, lastFailure: null });
      }
    }
  }

  // ---- tasks

  /** Takes due tasks of a worker's queue. */
  claim(serving: Serving, limit: number): Promise<{ count: number; dueInMs: number | null }> {
    const { claims, lanes, schema, registration } = this.#host;
    return claims.claim(async (claimNo) => {
      const { workerNo } = registration;
      const giveUp = this.#slots.hold(serving, limit);
      try {
        const { rows, dueInMs } = await claimTasks(lanes.task, schema, {
          workerNo,
          claimNo,
          services: [serving.activityService],
          limit,
        });
        if (registration.workerNo !== workerNo) return { count: 0, dueInMs: null };
        for (const row of rows) this.#startTask(serving, row, claimNo);
        return { count: rows.length, dueInMs };
      } finally {
        giveUp();
      }
    });
  }

  #startTask(serving: Serving, row: ClaimedTask, claimNo: number): void {
    if (this.running.get(row.thread_no, row.op) !== undefined) return; // a repeated claim
    const task = { threadNo: row.thread_no, op: row.op };
    const workflow = { taskQueue: row.workflow_queue, workflowName: row.workflow_name };
    if (row.losses >= MAX_LOSSES) {
      const error = new ActivityLostError(`activity "${row.name}" was lost with its process ${row.losses} times`);
      const failure = JSON.stringify(failureFromError(error)); // holds nothing of the user's
      void this.#finish(task, { kind: 'fail', payload: failure, delayMs: 0 }, row.epoch);
      return;
    }
    const run = this.#host.services.activity(workflow, serving.taskQueue, row.name) ?? this.#unknown(row);
    if (run === null || !this.#host.registration.alive) {
      void this.#finish(task, { kind: 'release', payload: null, delayMs: RELEASED_FOR_MS }, row.epoch);
      return;
    }
    let input: ActivityInput;
    try {
      input = decodeActivityInput(row.input, serving.seal);
    } catch (error) {
      this.#unreadable(task, row, error, row.epoch);
      return;
    }
    const activity = {
      ...task,
      serving,
      name: row.name,
      retry: input.retry,
      attempt: row.attempt,
      thread: null,
      task: { epoch: row.epoch, claimNo },
    };
    this.#run(activity, run, {
      args: input.args,
      headers: input.headers ?? {},
      taskQueue: serving.taskQueue,
      startToCloseMs: input.startToCloseMs,
      workflowId: row.workflow_id,
      workflowName: row.workflow_name,
      seed: String(row.request_no),
    });
  }

  /**
   * A name nobody gave us. When its workflow runs here, it may bring the function along (proxyActivities): as long as the
   * thread is not alive here it is taken, which replays it, and the attempt is put off (null), for a while. Otherwise the
   * attempt fails, and is retried as any other.
   */
  #unknown(row: ClaimedTask): UserFunction | null {
    const { services } = this.#host;
    const key = `${row.workflow_queue}\0${row.workflow_name}\0${row.name}`;
    const now = this.#host.monotonic();
    const since = this.#unknownSince.get(key) ?? now;
    this.#unknownSince.set(key, since);
    const mayBring =
      services.servesWorkflow(row.workflow_queue, row.workflow_name) && !this.#threads.isAlive(row.thread_no);
    if (mayBring && now - since < BROUGHT_WITHIN_MS) {
      this.#threads.want(row.thread_no);
      return null;
    }
    return () => {
      throw new Error(`Activity '${row.name}' not found in registry`);
    };
  }

  // ---- attempts

  #run(activityOf: Omit<RunningActivity, 'abort' | 'abandoned'>, run: UserFunction, call: Call): void {
    const activity: RunningActivity = { ...activityOf, abort: new LazyAbort(), abandoned: false };
    this.running.add(activity);
    const layers = activityLayers(activity.serving.interceptors);
    const attempt = {
      run: layers === null ? run : throughActivityInbound(layers, activity.name, run),
      abort: activity.abort,
      startToCloseMs: call.startToCloseMs,
      nonRetryableErrorTypes: activity.retry.nonRetryableErrorTypes ?? [],
      context: {
        activityName: activity.name,
        arguments: call.args,
        headers: call.headers,
        workflowId: call.workflowId,
        workflowName: call.workflowName,
        workflowTopic: `${call.taskQueue}-${activity.name}`,
        taskQueue: call.taskQueue,
        namespace: this.#host.namespace,
        attempt: activity.attempt,
        idempotencyKey: `${call.seed}-${activity.threadNo}-${activity.op}`,
      },
    };
    runAttempt(attempt, (outcome) => {
      this.running.remove(activity);
      if (!activity.abandoned) this.#ended(activity, outcome);
    });
  }

  /** An attempt ended: its outcome goes to the thread when that is here, else into its inbox. */
  #ended(activity: RunningActivity, outcome: AttemptOutcome): void {
    const { thread } = activity;
    if (thread !== null && this.#threads.holds(thread)) {
      if (thread.stage !== 'parking' && thread.stage !== 'parked') this.#hand(activity, thread, outcome);
      else
        thread.afterSuspension(
          () => this.#record(activity, outcome),
          () => this.#hand(activity, thread, outcome),
        );
    } else {
      this.#record(activity, outcome);
    }
  }

  #hand(activity: RunningActivity, thread: ActiveThread, outcome: AttemptOutcome): void {
    const { op } = activity;
    if (outcome.ok) {
      const value = outcome.text === null ? undefined : thread.seal.openParsed(outcome.text, JSON.parse(outcome.text));
      thread.post({ event: { kind: 'done', op, value, text: outcome.text }, inboxNo: null });
      return;
    }
    const delayMs = retryInMs(activity, outcome);
    if (delayMs === null) {
      thread.post({ event: { kind: 'fail', op, failure: outcome.failure }, inboxNo: null });
    } else if (activity.task !== null) {
      this.#record(activity, outcome);
    } else {
      this.queueTask(thread, op, { attempt: activity.attempt + 1, delayMs, lastFailure: outcome.failure });
    }
  }

  /** Into the task row, and from there into the inbox. Without a row its thread went elsewhere, and runs it again there. */
  #record(activity: RunningActivity, outcome: AttemptOutcome): void {
    if (activity.task === null) return;
    const { seal } = activity.serving;
    let finish: Finish;
    try {
      if (outcome.ok) {
        finish = { kind: 'done', payload: seal.seal(outcome.text), delayMs: 0 };
      } else {
        const delayMs = retryInMs(activity, outcome);
        const payload = encodeFailure(outcome.failure, seal);
        finish = { kind: delayMs === null ? 'fail' : 'retry', payload, delayMs: delayMs ?? 0 };
      }
    } catch (error) {
      this.#unreadable(activity, activity, error, activity.task.epoch);
      return;
    }
    void this.#finish(activity, finish, activity.task.epoch);
  }

  /**
   * The codec of this worker cannot read a task, or not write its outcome. No attempt is used up: the task is offered
   * again, to workers with another key or to this one, until the right key is there, and says why in `last_failure`.
   */
  #unreadable(task: { threadNo: number; op: number }, { name }: { name: string }, error: unknown, epoch: number): void {
    this.#host.logger.error({ activity: name, error }, 'the payloads of an activity task cannot be read or written');
    const payload = JSON.stringify(failureFromError(error)); // a PayloadCodecError holds no content
    void this.#finish(task, { kind: 'release', payload, delayMs: UNREADABLE_FOR_MS }, epoch);
  }

  async #finish(task: { threadNo: number; op: number }, result: Finish, epoch: number): Promise<void> {
    const key = `${task.threadNo}/${task.op}`;
    this.#finishing.add(key);
    try {
      await this.#outcomes.submit({ threadNo: task.threadNo, op: task.op, epoch, ...result });
      if (result.kind === 'retry' || result.kind === 'release') this.#lookAfter(result.delayMs);
    } catch (error) {
      this.#host.callFailed('finish_tasks', error);
    } finally {
      this.#finishing.delete(key);
    }
  }

  /** A task is due in a moment: whoever is here should look then. */
  #lookAfter(delayMs: number): void {
    const { due, services } = this.#host;
    due.add({
      dueAt: this.#host.monotonic() + delayMs,
      run: () => {
        for (const serving of services.all) serving.taskClaims?.poke();
      },
    });
  }

  // ---- what the database says we own

  /** Begins a comparison. @returns what ends it, with what the database says. */
  compare(claimsBefore: number): (owned: readonly { threadNo: number; op: number; epoch: number }[]) => Promise<void> {
    const running = this.running.all().filter(({ task }) => task !== null && task.claimNo < claimsBefore);
    const finishing = new Set(this.#finishing); // their outcomes are on their way
    return async (owned) => {
      const ours = new Set(owned.map(({ threadNo, op }) => `${threadNo}/${op}`));
      for (const activity of running) {
        if (ours.has(`${activity.threadNo}/${activity.op}`)) continue;
        if (this.running.get(activity.threadNo, activity.op) !== activity) continue;
        // Cancelled, or its workflow ended.
        this.running.abandon(activity, new CancelledFailure('the workflow does not wait for this activity any more'));
      }
      for (const task of owned) {
        const key = `${task.threadNo}/${task.op}`;
        if (this.running.get(task.threadNo, task.op) !== undefined) continue;
        if (finishing.has(key) || this.#finishing.has(key)) continue;
        await this.#finish(task, { kind: 'release', payload: null, delayMs: 0 }, task.epoch);
      }
    };
  }
}

/** When a failed attempt is repeated; null when it is final. */
function retryInMs(activity: RunningActivity, outcome: Extract<AttemptOutcome, { ok: false }>): number | null {
  if (!outcome.retryable || activity.attempt > activity.retry.maximumAttempts) return null;
  return outcome.nextRetryMs ?? retryDelayMs({ ...activity.retry, throwOnError: true }, activity.attempt);
}
