/**
 * Bound activities: inline steps, and functions that came with the call (proxyActivities({ activities })). They run where
 * their thread is and nowhere else, first eagerly; behind a failed attempt, a heartbeat or a death they have a row that
 * belongs to no service (see activity_task), which the thread's owner takes.
 *
 * Owns: when they begin. Does not own: attempts (activity-runner.ts), rows (task-rows.ts).
 *
 * While one runs or waits for a slot, its thread is not parked. It *rests* between two attempts, and while somebody
 * outside has its task token.
 */

import type { CommandSpec } from '../core/history.js';
import { untilFree } from '../postgres/held-row.js';
import { takeStep } from '../postgres/protocol/tasks.js';
import type { ActiveThread } from './active-thread.js';
import type { HostContext } from './host-context.js';
import { type OperationKey, operationKey } from './operation-key.js';
import type { UserFunction } from './options.js';
import type { RunningActivities, TaskOfAttempt } from './running-activities.js';
import type { Serving } from './serving.js';
import type { SlotReservations } from './slots.js';
import type { TaskRows } from './task-rows.js';

const SLOT_POLL_MS = 50;

/** An attempt that may begin. */
export interface BoundAttempt {
  readonly thread: ActiveThread;
  readonly op: number;
  readonly name: string;
  readonly spec: CommandSpec['activity'];
  readonly serving: Serving;
  readonly run: UserFunction;
  readonly known: KnownAttempt;
}

/** Which attempt it is, and what its row says. */
export interface KnownAttempt {
  readonly attempt: number;
  readonly losses: number;
  readonly task: TaskOfAttempt | null;
  /** What the last heartbeat said. */
  readonly details: string | null;
  /** What is left of its scheduleToCloseTimeout; undefined: all. */
  readonly closeInMs: number | null | undefined;
}

export const FIRST_ATTEMPT: KnownAttempt = { attempt: 1, losses: 0, task: null, details: null, closeInMs: undefined };

export interface BoundActivitiesOptions {
  readonly host: HostContext;
  readonly running: RunningActivities;
  readonly rows: TaskRows;
  readonly slots: SlotReservations;
  readonly holds: (thread: ActiveThread) => boolean;
  readonly begin: (attempt: BoundAttempt) => void;
}

export class BoundActivities {
  readonly #options: BoundActivitiesOptions;
  /** Until a slot is free. */
  readonly #waiting = new Map<OperationKey, () => void>();

  constructor(options: BoundActivitiesOptions) {
    this.#options = options;
  }

  /** The first attempt: its scheduling is durable, it has no row. */
  start(thread: ActiveThread, op: number): void {
    const operation = thread.open.get(op);
    if (operation?.kind !== 'activity' || !this.#options.holds(thread)) return;
    if (thread.instance === null) return; // the function failed meanwhile; its retry comes back to this
    if (operation.spec.transactional) {
      // Its own transaction completes it, by taking its row away.
      this.#options.rows.make(thread, op, { attempt: 1, delayMs: 0, lastFailure: null });
      return;
    }
    const serving = this.#slotFor(thread);
    if (serving === null) {
      this.#wait(thread, op, () => this.start(thread, op));
      return;
    }
    this.#begin(thread, op, serving, FIRST_ATTEMPT);
  }

  /** Something may be to be done for one that has a row: its retry is due, or somebody changed the row. */
  resume(thread: ActiveThread, op: number): void {
    thread.dueAt.delete(op);
    thread.postChore(() => this.#take(thread, op));
  }

  /** The thread came here, or its function begins anew: whatever nobody looks after is taken up. */
  resumeAll(thread: ActiveThread): void {
    let mailed: ReadonlySet<number> | null = null;
    for (const [op, operation] of thread.open) {
      if (operation.kind !== 'activity' || !operation.spec.bound) continue;
      if (
        this.#options.running.get(thread.threadNo, op) !== undefined ||
        this.#waiting.has(operationKey(thread.threadNo, op))
      )
        continue;
      mailed ??= thread.opsWithMail;
      if (thread.dueAt.has(op) || mailed.has(op)) continue;
      if (operation.hasTask) this.resume(thread, op);
      // Lost with its process. With a row, which counts its losses: it may be what ended the process.
      else this.#options.rows.make(thread, op, { attempt: 1, delayMs: 0, lastFailure: null });
    }
  }

  async #take(thread: ActiveThread, op: number): Promise<void> {
    const { host, running, rows, slots, holds } = this.#options;
    const operation = thread.open.get(op);
    if (operation?.kind !== 'activity' || running.get(thread.threadNo, op) !== undefined) return;
    if (thread.instance === null) return;
    const serving = this.#slotFor(thread);
    if (serving === null) {
      operation.rests = false;
      this.#wait(thread, op, () => this.resume(thread, op));
      return;
    }
    const giveUp = slots.hold(serving, 1);
    try {
      const { claims, lanes, schema, registration } = host;
      const { threadNo, epoch } = thread;
      await claims.claim(async (claimNo) => {
        const step = { claimNo, threadNo, epoch, op };
        const taken = await untilFree(() => takeStep(lanes.side, schema, registration.workerNo, step));
        if (!holds(thread)) return;
        if (taken === null) rows.rests(thread, op, null);
        else if (taken.waitMs !== null) rows.rests(thread, op, taken.waitMs);
        else {
          operation.rests = false;
          this.#begin(thread, op, serving, { ...taken, task: { epoch: taken.epoch, claimNo } });
        }
      });
    } finally {
      giveUp();
    }
  }

  #begin(thread: ActiveThread, op: number, serving: Serving, known: KnownAttempt): void {
    const operation = thread.open.get(op);
    if (operation?.kind !== 'activity') return;
    const { name, spec } = operation;
    const run = this.#functionOf(thread, op, spec.taskQueue, name);
    this.#options.begin({ thread, op, name, spec, serving, run, known });
  }

  /** What the call brought along; where changed code brings none any more, what the worker has under the name. */
  #functionOf(thread: ActiveThread, op: number, taskQueue: string, name: string): UserFunction {
    const brought = thread.instance?.pending.get(op)?.implementation as UserFunction | null | undefined;
    return brought ?? this.#options.host.services.activity(thread.info, taskQueue, name) ?? notFound(name);
  }

  /** A worker that runs no activities still runs the steps of its own workflows, one at a time. */
  #slotFor(thread: ActiveThread): Serving | null {
    const candidates = this.#options.host.services.activityServings(thread.info.taskQueue);
    const free = candidates.find((serving) => serving.freeActivities > 0);
    const none = ({ draining, activities, tuning }: Serving) =>
      !draining && activities === 0 && tuning.maxConcurrentActivities === 0;
    return free ?? candidates.find(none) ?? null;
  }

  #wait(thread: ActiveThread, op: number, again: () => void): void {
    this.#waiting.set(operationKey(thread.threadNo, op), () => {
      if (this.#options.holds(thread)) again();
    });
    if (this.#waiting.size === 1) this.#poll();
  }

  #poll(): void {
    const { host } = this.#options;
    host.due.add({
      dueAt: host.monotonic() + SLOT_POLL_MS,
      run: () => {
        const waiting = [...this.#waiting.values()];
        this.#waiting.clear();
        for (const again of waiting) again();
      },
    });
  }
}

/** Fails the attempt, which is retried as any other: another deploy may have the function. */
export function notFound(name: string): UserFunction {
  return () => {
    throw new Error(`Activity '${name}' not found in registry`);
  };
}
