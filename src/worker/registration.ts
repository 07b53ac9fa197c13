/**
 * The worker's row and its lease.
 *
 * Owns: registering, renewing, knowing whether the lease holds. Does not own: what is dropped when it is lost (host.ts).
 *
 * Invariants:
 * 1. The lease counts from *before* the renewal was sent, by the monotonic clock: it never seems longer than it is.
 * 2. A worker that was declared dead comes back under a new key, hence a new number: its late commits stay refused.
 */

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { LeaseLostError } from '../core/errors.js';
import type { Lane } from '../postgres/database.js';
import { untilFree } from '../postgres/held-row.js';
import { SCHEMA_VERSION } from '../postgres/migrate.js';
import { registerWorker, renewLease, retireWorker, type Service } from '../postgres/protocol/workers.js';
import { knownError } from '../postgres/sql-error.js';

/** Who renews the lease while the event loop stands still. */
interface Keeper {
  /** From now on that of this worker, and no other. */
  keep(workerNo: number): void;
  drop(): void;
  /** Whether the lease was renewed by it, and holds. */
  readonly holds: boolean;
}

export interface RegistrationOptions {
  readonly lane: Lane;
  readonly schema: string;
  readonly leaseMs: number;
  readonly keeper: Keeper;
  readonly monotonic: () => number;
  readonly services: () => Service[];
  readonly registered: (services: readonly Service[], numbers: readonly number[]) => void;
  /** Drops everything this worker held. */
  readonly lost: () => void;
  /** Registered anew behind a loss. */
  readonly back: () => void;
  readonly failed: (error: unknown) => void;
}

export class Registration {
  readonly #options: RegistrationOptions;
  #key = randomUUID();
  #workerNo = 0;
  #leaseUntil = 0;
  #turn: Promise<void> = Promise.resolve();
  #losing = false;

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  get workerNo(): number {
    return this.#workerNo;
  }

  get alive(): boolean {
    return this.#options.monotonic() < this.#leaseUntil || this.#options.keeper.holds;
  }

  /** Registers the process with all it serves now, or adds to that. */
  register(): Promise<void> {
    const next = this.#turn.then(() => this.#registerNow());
    this.#turn = next.catch(() => {});
    return next;
  }

  async renew(): Promise<void> {
    const { lane, schema, leaseMs, monotonic } = this.#options;
    const sentAt = monotonic();
    const workerNo = this.#workerNo;
    const alive = await renewLease(lane, schema, workerNo, leaseMs);
    if (alive) this.#leaseUntil = sentAt + leaseMs;
    else if (workerNo === this.#workerNo) this.lose();
  }

  /**
   * Others have, or will have, what was ours: drop everything, come back under a new number.
   * @param error What told so. One that speaks of an earlier registration comes late, and is no news.
   */
  lose(error?: unknown): void {
    if (this.#losing || this.#isOld(error)) return;
    this.#losing = true;
    this.#leaseUntil = 0;
    const { lane, schema, keeper, lost, failed } = this.#options;
    keeper.drop();
    lost();
    this.#key = randomUUID();
    const workerNo = this.#workerNo;
    this.#workerNo = 0; // what is claimed from here on under the old number is not ours
    // Nobody may have declared it dead yet: what it had is free now, not when the old lease is over.
    retireWorker(lane, schema, workerNo)
      .catch(failed)
      .then(() => this.register())
      .then(this.#options.back, this.#options.failed)
      .finally(() => {
        this.#losing = false;
      });
  }

  #isOld(error: unknown): boolean {
    const workerNo = leaseLost(error)?.workerNo ?? this.#workerNo;
    return workerNo !== this.#workerNo;
  }

  async #registerNow(): Promise<void> {
    const { lane, schema, leaseMs, keeper, monotonic, services, registered } = this.#options;
    for (;;) {
      let sentAt = monotonic();
      const asked = services();
      try {
        // Its services may be new in somebody's open transaction, or its own row in a call that was cut and still waits.
        const { workerNo, serviceNos } = await untilFree(() => {
          sentAt = monotonic();
          return registerWorker(lane, schema, {
            key: this.#key,
            description: `${hostname()}/${process.pid}`,
            leaseMs,
            services: asked,
            schemaVersion: SCHEMA_VERSION,
          });
        });
        if (workerNo !== this.#workerNo) keeper.keep(workerNo);
        this.#workerNo = workerNo;
        this.#leaseUntil = sentAt + leaseMs;
        registered(asked, serviceNos);
        return;
      } catch (error) {
        if (!isLeaseLost(error)) throw knownError(error);
        this.#key = randomUUID();
      }
    }
  }
}

export function isLeaseLost(error: unknown): boolean {
  return leaseLost(error) !== null;
}

function leaseLost(error: unknown): LeaseLostError | null {
  const found = knownError(error);
  return found instanceof LeaseLostError ? found : null;
}
