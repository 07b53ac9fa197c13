/**
 * How many threads of each service are in this process, and what follows for the next claim: a crowd of one workflow neither takes
 * all places nor stands before a single one of another (docs/decisions/0042-few-go-before-many.md).
 */

import type { Serving } from './serving.js';

/** What a claim may take. */
export interface ThreadRoom {
  readonly services: number[];
  readonly limit: number;
  /** Only the reserve is left: others of the worker's services may wait all the same. */
  readonly partial: boolean;
}

export class ThreadShares {
  readonly #held = new Map<number, number>();
  /** Counts claims, to begin each with another service of those that have equally many. */
  #turn = 0;

  #of(serviceNo: number): number {
    return this.#held.get(serviceNo) ?? 0;
  }

  count(serviceNo: number, more: 1 | -1): void {
    this.#held.set(serviceNo, this.#of(serviceNo) + more);
  }

  /** When only the reserve is left, room for workflows of which less than their share is here; null: none at all. */
  roomFor(serving: Serving): ThreadRoom | null {
    const { freeThreads, reservedThreads, tuning } = serving;
    const services = [...serving.workflowServices.values()];
    if (services.length === 0) return null;
    if (freeThreads > reservedThreads) return { services, limit: freeThreads - reservedThreads, partial: false };
    const share = tuning.maxConcurrentWorkflows / services.length;
    const few = services.filter((serviceNo) => this.#of(serviceNo) < share);
    return few.length === 0 ? null : { services: few, limit: freeThreads, partial: true };
  }

  /**
   * A claim takes what is ready of one service after the other: whichever comes first each time would starve the others. Those
   * come first of which the fewest are here.
   */
  inTurn(services: readonly number[]): number[] {
    const first = this.#turn++ % services.length;
    const begun = [...services.slice(first), ...services.slice(0, first)];
    return begun.sort((one, other) => this.#of(one) - this.#of(other));
  }
}
