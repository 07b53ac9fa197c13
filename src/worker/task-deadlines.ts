/**
 * Sees to it that time limits of activities are kept where no process watches them: see sql/functions/expire_tasks.sql.
 * The reaper's look (every 2 s) says when one is near; then this asks, and again when the next one is due.
 */

import { expireTasks } from '../postgres/protocol/tasks.js';
import type { HostContext } from './host-context.js';
import { OneAtATime } from './one-at-a-time.js';

/** Beyond this the reaper says it again. */
const NEAR_MS = 2_000;
/** What is held by somebody is tried again after this. */
const AT_LEAST_MS = 50;

export class TaskDeadlines {
  readonly #host: HostContext;
  readonly #looking: OneAtATime;
  #armedFor = Infinity;

  constructor(host: HostContext) {
    this.#host = host;
    this.#looking = new OneAtATime(
      () => this.#lookNow(),
      (error) => host.callFailed('expire_tasks', error),
    );
  }

  /** Some limit is near. */
  look(): void {
    this.#looking.ask();
  }

  async #lookNow(): Promise<void> {
    const { lanes, schema, due } = this.#host;
    if (this.#host.closed) return;
    const { hints, dueInMs } = await expireTasks(lanes.side, schema);
    this.#host.tell(hints);
    if (dueInMs === null || dueInMs > NEAR_MS) return;
    const dueAt = this.#host.monotonic() + Math.max(AT_LEAST_MS, dueInMs);
    if (this.#armedFor <= dueAt) return;
    this.#armedFor = dueAt;
    due.add({
      dueAt,
      run: () => {
        if (this.#armedFor === dueAt) this.#armedFor = Infinity;
        this.look();
      },
    });
  }
}
