/**
 * Slots that are spoken for: by an eager activity from before the commit that schedules it until that is durable, and by
 * a claim of tasks until it is answered.
 */

import { type OperationKey, operationKey } from './operation-key.js';
import type { Serving } from './serving.js';

export class SlotReservations {
  readonly #reserved = new Map<OperationKey, Serving>();

  /** Keeps `count` slots of a worker for a claim that is under way. @returns what gives them up. */
  hold(serving: Serving, count: number): () => void {
    serving.reservedActivities += count;
    return () => {
      serving.reservedActivities -= count;
    };
  }

  /** @returns whether one of the workers has a free slot; it is kept for this operation. */
  reserve(threadNo: number, op: number, candidates: readonly Serving[]): boolean {
    const serving = candidates.find((candidate) => candidate.freeActivities > 0);
    if (serving === undefined) return false;
    serving.reservedActivities++;
    this.#reserved.set(operationKey(threadNo, op), serving);
    return true;
  }

  /** Takes or gives up what was reserved. */
  take(threadNo: number, op: number): Serving | null {
    const key = operationKey(threadNo, op);
    const serving = this.#reserved.get(key);
    if (serving === undefined) return null;
    this.#reserved.delete(key);
    serving.reservedActivities--;
    return serving;
  }
}
