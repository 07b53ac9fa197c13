/**
 * One pace of connecting for all lanes of a database.
 *
 * While the database is up, lanes connect side by side. After a failure they take turns: one attempt per pause, whoever is
 * next, and pauses grow to a second. So a process with eight lanes asks an unreachable server once a second, not eight times.
 * The first success wakes everybody.
 */
import { backoffMs } from './backoff.js';
import type { DatabaseLogger } from './database.js';
import { messageOf, type Patience } from './patience.js';

export class ConnectPacer {
  readonly #logger: DatabaseLogger | undefined;
  readonly #waiting = new Set<() => void>();
  #failures = 0;
  #nextAt = 0;

  constructor(logger: DatabaseLogger | undefined) {
    this.#logger = logger;
  }

  /** Resolves when this caller may try; throws when its patience ran out before. */
  async turn(patience: Patience): Promise<void> {
    while (this.#failures > 0) {
      const wait = this.#nextAt - performance.now();
      if (wait <= 0) {
        // Taken: the others wait for the next slot while this attempt runs.
        this.#nextAt = performance.now() + backoffMs(this.#failures);
        break;
      }
      await patience.pause(wait, this.#waiting);
      patience.throwIfLost();
    }
  }

  /** Tries, and tells the others. Rejects with the driver's error; the caller asks for the next turn. */
  async attempt<T>(open: () => Promise<T>): Promise<T> {
    const failuresBefore = this.#failures;
    try {
      const opened = await open();
      this.#succeeded();
      return opened;
    } catch (error) {
      this.#failed(error, failuresBefore + 1);
      throw error;
    }
  }

  #succeeded(): void {
    if (this.#failures > 0) this.#logger?.info({ failures: this.#failures }, 'connected to the database again');
    this.#failures = 0;
    for (const wake of this.#waiting) wake();
  }

  /** Lanes that failed side by side count as one failure. */
  #failed(error: unknown, failures: number): void {
    if (this.#failures === 0) {
      this.#logger?.warn({ reason: messageOf(error) }, 'cannot connect to the database, trying again');
    }
    this.#failures = Math.max(this.#failures, failures);
    this.#nextAt = Math.max(this.#nextAt, performance.now() + backoffMs(this.#failures));
  }
}
