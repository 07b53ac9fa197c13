/**
 * Sees to it that what is due somewhere in the database ends on time, though no process watches it: limits of activities
 * (sql/functions/expire_tasks.sql), timeouts of workflows and reservations (expire_runs.sql). The reaper's look (every 2 s)
 * says when something is near; then this asks, and again when the next is due.
 */

import type { Lane } from '../postgres/database.js';
import type { HostContext } from './host-context.js';
import { OneAtATime } from './one-at-a-time.js';

/** Beyond this the reaper says it again. */
const NEAR_MS = 2_000;
/** What is held by somebody is tried again after this. */
const AT_LEAST_MS = 50;

export interface DueCall {
  /** The SQL function, for the log. */
  readonly name: string;
  /** Ends what is due. @returns hints, and when the next is due; null: nothing is. */
  readonly send: (lane: Lane, schema: string) => Promise<{ hints: string | null; dueInMs: number | null }>;
}

export class Deadlines {
  readonly #host: HostContext;
  readonly #call: DueCall;
  readonly #looking: OneAtATime;
  #armedFor = Infinity;

  constructor(host: HostContext, call: DueCall) {
    this.#host = host;
    this.#call = call;
    this.#looking = new OneAtATime(
      () => this.#lookNow(),
      (error) => host.callFailed(call.name, error),
    );
  }

  /** Something is near. */
  look(): void {
    void this.#looking.ask();
  }

  async #lookNow(): Promise<void> {
    const { lanes, schema, due } = this.#host;
    if (this.#host.closed) return;
    const { hints, dueInMs } = await this.#call.send(lanes.side, schema);
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
