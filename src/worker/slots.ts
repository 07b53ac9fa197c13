/** Slots for eager activities: reserved before the commit that schedules them, taken when it is durable. */

import type { Serving } from './serving.js';

export class SlotReservations {
  readonly #reserved = new Map<string, Serving>();

  /** @returns whether one of the workers has a free slot; it is kept for this operation. */
  reserve(threadNo: number, op: number, candidates: readonly Serving[]): boolean {
    const serving = candidates.find((candidate) => candidate.freeActivities > candidate.reservedActivities);
    if (serving === undefined) return false;
    serving.reservedActivities++;
    this.#reserved.set(`${threadNo}/${op}`, serving);
    return true;
  }

  /** Takes or gives up what was reserved. */
  take(threadNo: number, op: number): Serving | null {
    const key = `${threadNo}/${op}`;
    const serving = this.#reserved.get(key);
    if (serving === undefined) return null;
    this.#reserved.delete(key);
    serving.reservedActivities--;
    return serving;
  }
}
