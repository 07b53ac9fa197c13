/** Which activities began and ended in simulated processes: none begins again whose outcome is in a process that lives. */

import { type ModelRows, taskKey } from './model-rows.js';

export class SimulatedAttempts {
  readonly #rows: ModelRows;
  /** Which worker has the outcome, by operation. */
  readonly #ended = new Map<string, number | null>();
  /** What went wrong. */
  reason: Error | null = null;

  constructor(rows: ModelRows) {
    this.#rows = rows;
  }

  /** @param workerNo Who begins it: whoever may have lost its lease begins nothing. */
  began(threadNo: number, op: number, workerNo: number | null): void {
    if (workerNo === null || !this.#rows.isLive(workerNo)) return;
    const by = this.#ended.get(taskKey(threadNo, op)) ?? null;
    const worker = by === null ? undefined : this.#rows.workers.get(by);
    if (worker === undefined || worker.dead) return;
    this.reason ??= new Error(
      `activity ${op} of thread ${threadNo} runs again; worker ${by} lives and has its outcome`,
    );
  }

  ended(threadNo: number, op: number, workerNo: number | null): void {
    this.#ended.set(taskKey(threadNo, op), workerNo);
  }

  /** The process that had it has ended. */
  died(workerNo: number): void {
    for (const [key, by] of this.#ended) if (by === workerNo) this.#ended.delete(key);
  }
}
