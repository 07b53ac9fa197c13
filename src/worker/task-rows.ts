/**
 * The task rows of activities: made from eager ones, finished, compared with what runs here.
 *
 * Owns: the calls about rows and which of them are under way. Does not own: attempts (activity-runner.ts).
 */

import { activityText, limitsText } from '../codec/entry-text.js';
import { encodeFailure } from '../codec/failure-text.js';
import { sealSpec } from '../codec/sealed-steps.js';
import { CancelledFailure } from '../core/errors.js';
import type { Failure } from '../core/failure.js';
import { Batcher, LARGE_ITEM_BYTES } from '../postgres/batcher.js';
import { untilFree } from '../postgres/held-row.js';
import { finishTasks, queueTasks, type TaskOutcome } from '../postgres/protocol/tasks.js';
import type { ActiveThread } from './active-thread.js';
import type { HostContext } from './host-context.js';
import { isKnown, type TasksHere } from './known-tasks.js';
import { type OperationKey, operationKey } from './operation-key.js';
import type { RunningActivities, RunningActivity } from './running-activities.js';

export type Finish = Pick<TaskOutcome, 'kind' | 'payload' | 'delayMs'> & Partial<Pick<TaskOutcome, 'details'>>;

export interface TaskToMake {
  readonly attempt: number;
  readonly delayMs: number;
  readonly lastFailure: Failure | null;
  /** Of its last heartbeat, plain. */
  readonly details?: string | null;
  /** It runs here: the row is made in this worker's name. */
  readonly running?: RunningActivity;
}

/** What the rows need of the threads. */
export interface ThreadsOfTasks {
  refused(thread: ActiveThread): void;
  /** Whether a thread is here, and has an outcome of the operation that is not durable yet. */
  settles(task: { threadNo: number; op: number }): boolean;
  /** Wakes the thread for an operation of it. */
  armTimer(thread: ActiveThread, op: number, ms: number): void;
}

export class TaskRows {
  readonly #host: HostContext;
  readonly #threads: ThreadsOfTasks;
  readonly #running: RunningActivities;
  readonly #outcomes: Batcher<TaskOutcome, null>;
  readonly #finishing = new Set<OperationKey>();

  constructor(host: HostContext, threads: ThreadsOfTasks, running: RunningActivities) {
    this.#host = host;
    this.#threads = threads;
    this.#running = running;
    this.#outcomes = new Batcher({
      main: host.lanes.task,
      side: host.lanes.side,
      bytes: (outcome) => 60 + (outcome.payload?.length ?? 0) + (outcome.details?.length ?? 0),
      asideBytes: LARGE_ITEM_BYTES,
      send: async (lane, outcomes) => {
        host.tell(await finishTasks(lane, host.schema, host.registration.workerNo, outcomes));
        return outcomes.map(() => null);
      },
    });
  }

  /** Gives an activity a row; in turn with the commits of its thread. */
  make(thread: ActiveThread, op: number, task: TaskToMake): void {
    const { running } = task;
    if (running !== undefined) running.makingRow = true;
    thread.postChore(async () => {
      await this.#makeNow(thread, op, task);
      running?.rowSettled();
    });
  }

  async #makeNow(thread: ActiveThread, op: number, task: TaskToMake): Promise<void> {
    const operation = thread.open.get(op);
    const { running } = task;
    if (operation?.kind !== 'activity' || operation.hasTask) return;
    if (running !== undefined && this.#running.get(thread.threadNo, op) !== running) return; // it ended meanwhile
    const { lanes, schema, registration, claims } = this.#host;
    const { spec, name } = operation;
    const claimNo = running === undefined ? null : claims.draw();
    const details = running?.unsentDetails ?? task.details ?? null;
    const row = {
      threadNo: thread.threadNo,
      epoch: thread.epoch,
      op,
      taskQueue: spec.bound ? null : spec.taskQueue,
      name,
      input: activityText(sealSpec('activity', spec, thread.seal)),
      attempt: task.attempt,
      delayMs: task.delayMs,
      claimNo,
      lastFailure: task.lastFailure === null ? null : encodeFailure(task.lastFailure, thread.seal),
      limits: limitsText(spec),
      details: thread.seal.seal(details),
      outside: false,
    };
    const refused = await untilFree(() => queueTasks(lanes.side, schema, registration.workerNo, [row]));
    if (refused.length > 0) {
      this.#threads.refused(thread);
      return;
    }
    operation.hasTask = true;
    if (running !== undefined && claimNo !== null) {
      running.task = { epoch: 1, claimNo };
      if (running.unsentDetails === details) running.unsentDetails = null;
    } else if (spec.bound) {
      this.rests(thread, op, task.delayMs);
    } else {
      this.#lookAfter(task.delayMs);
    }
  }

  /** A bound activity waits: for its retry, or (null) for an answer from outside. Its thread may be parked meanwhile. */
  rests(thread: ActiveThread, op: number, delayMs: number | null): void {
    const operation = thread.open.get(op);
    if (operation?.kind !== 'activity') return;
    operation.rests = true;
    if (delayMs !== null) this.#threads.armTimer(thread, op, delayMs);
  }

  /** A bound activity was given back and is taken again soon. Nothing but this process would wake its thread for it. */
  retakes(thread: ActiveThread, op: number, delayMs: number): void {
    this.#threads.armTimer(thread, op, delayMs);
  }

  async finish(task: { threadNo: number; op: number }, result: Finish, epoch: number): Promise<void> {
    const key = operationKey(task.threadNo, task.op);
    this.#finishing.add(key);
    try {
      await this.#outcomes.submit({ threadNo: task.threadNo, op: task.op, epoch, details: null, ...result });
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

  /** Begins a comparison. @returns what ends it, with what the database says we own. */
  compare(claimsBefore: number): (owned: readonly { threadNo: number; op: number; epoch: number }[]) => Promise<void> {
    const running = this.#running.all().filter(({ task }) => task !== null && task.claimNo < claimsBefore);
    const finishing = new Set(this.#finishing); // their outcomes are on their way
    return async (owned) => {
      const ours = new Set(owned.map(({ threadNo, op }) => operationKey(threadNo, op)));
      for (const activity of running) {
        if (ours.has(operationKey(activity.threadNo, activity.op))) continue;
        if (this.#running.get(activity.threadNo, activity.op) !== activity) continue;
        this.#running.abandon(activity, notAwaited()); // cancelled, answered or timed out, or its workflow ended
      }
      const here: TasksHere = {
        runs: ({ threadNo, op }) => this.#running.get(threadNo, op) !== undefined,
        finishes: ({ threadNo, op }) =>
          [finishing, this.#finishing].some((keys) => keys.has(operationKey(threadNo, op))),
        settles: (task) => this.#threads.settles(task),
      };
      for (const task of owned) {
        if (isKnown(task, here)) continue;
        await this.finish(task, { kind: 'release', payload: null, delayMs: 0 }, task.epoch);
      }
    };
  }
}

/** Why an attempt is abandoned whose outcome would go nowhere. */
export function notAwaited(): CancelledFailure {
  return new CancelledFailure('the workflow does not wait for this activity any more');
}
