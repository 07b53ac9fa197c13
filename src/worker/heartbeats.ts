/**
 * Sends the heartbeats of claimed activities: all of them together, and what comes within a fifth of a second once.
 * Limits that the database watches grant half a second for that (sql/functions/task_expiry.sql).
 */

import { type HeartbeatAnswer, sendHeartbeats } from '../postgres/protocol/tasks.js';
import type { HostContext } from './host-context.js';
import type { RunningActivities, RunningActivity } from './running-activities.js';
import { notAwaited } from './task-rows.js';

const EVERY_MS = 200;
const MOST = 500;

export class Heartbeats {
  readonly #host: HostContext;
  readonly #running: RunningActivities;
  readonly #waiting = new Set<RunningActivity>();
  #scheduled = false;
  #nextAt = 0;

  constructor(host: HostContext, running: RunningActivities) {
    this.#host = host;
    this.#running = running;
  }

  /** The activity, which has a row, is alive. */
  note(activity: RunningActivity): void {
    this.#waiting.add(activity);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#host.due.add({ dueAt: this.#nextAt, run: () => void this.#send() });
  }

  async #send(): Promise<void> {
    this.#nextAt = this.#host.monotonic() + EVERY_MS;
    const batch: RunningActivity[] = [];
    for (const activity of this.#waiting) {
      if (batch.length >= MOST) break;
      this.#waiting.delete(activity);
      if (this.#isOurs(activity)) batch.push(activity);
    }
    try {
      if (batch.length > 0) await this.#sendNow(batch);
    } catch (error) {
      this.#host.callFailed('heartbeat_tasks', error);
      for (const activity of batch) this.#waiting.add(activity);
    } finally {
      this.#scheduled = false;
      const [next] = this.#waiting;
      if (next !== undefined) this.note(next);
    }
  }

  async #sendNow(batch: readonly RunningActivity[]): Promise<void> {
    const { lanes, schema, registration } = this.#host;
    const said = batch.map(({ unsentDetails }) => unsentDetails);
    const beats = batch.map(({ threadNo, op, task, serving, unsentDetails }) => ({
      threadNo,
      op,
      epoch: task?.epoch ?? 0,
      details: serving.seal.seal(unsentDetails),
    }));
    const answers = await sendHeartbeats(lanes.side, schema, registration.workerNo, beats);
    for (const [n, activity] of batch.entries()) this.#answered(activity, said[n] ?? null, answers[n]);
  }

  #answered(activity: RunningActivity, sent: string | null, answer: HeartbeatAnswer | undefined): void {
    if (answer === 'held') this.#waiting.add(activity);
    // Not if its outcome went out meanwhile: then the row is gone because of that.
    else if (answer === 'gone' && this.#isOurs(activity)) this.#running.abandon(activity, notAwaited());
    else if (activity.unsentDetails === sent) activity.unsentDetails = null;
  }

  #isOurs(activity: RunningActivity): boolean {
    return !activity.over && !activity.abandoned && activity.task !== null;
  }
}
