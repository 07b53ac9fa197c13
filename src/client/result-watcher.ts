/**
 * Waits for the outcomes of workflows: one watcher per database and namespace, whatever the number of waiters. It asks
 * once for all of them when something ended (a hint), and every now and then in case the hint was lost.
 */

import { ConnectionError } from '../core/errors.js';
import type { Lane } from '../postgres/database.js';
import type { Notifier } from '../postgres/notifications.js';
import { ANYTHING } from '../postgres/notifications.js';
import { fetchResults, type ResultRow } from '../postgres/protocol/executions.js';

const POLL_WITH_HINTS_MS = 5_000;
const POLL_WITHOUT_HINTS_MS = 1_000;
const FIRST_POLL_MS = 20;
/** Each question looks every waiter up: with 1,000 of them and a hint per commit that would cost more than the commits. */
const ASK_AGAIN_MS_PER_WAITER = 0.02;

interface Waiter {
  resolve(row: ResultRow): void;
  reject(error: unknown): void;
}

export class ResultWatcher {
  readonly #lane: Lane;
  readonly #schema: string;
  readonly #waiters = new Map<number, Waiter[]>();
  readonly #unsubscribe: () => void;
  #timer: NodeJS.Timeout | null = null;
  #asking = false;
  #again = false;
  #closed = false;
  #resting = false;
  #heard = false;
  #pollMs = FIRST_POLL_MS;

  constructor(lane: Lane, schema: string, notifier: Notifier) {
    this.#lane = lane;
    this.#schema = schema;
    this.#unsubscribe = notifier.subscribe((hint) => {
      if (hint === ANYTHING) this.#heard = true;
      if (hint === 'r' || hint === ANYTHING) this.#ask();
    });
  }

  /** Resolves when the chain has ended. Rejects only when the watcher is closed. */
  outcome(chainNo: number): Promise<ResultRow> {
    if (this.#closed) return Promise.reject(shutDown());
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters.get(chainNo);
      if (waiters !== undefined) waiters.push({ resolve, reject });
      else this.#waiters.set(chainNo, [{ resolve, reject }]);
      this.#pollMs = FIRST_POLL_MS;
      this.#ask();
    });
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.reject(shutDown());
    this.#waiters.clear();
  }

  #ask(): void {
    if (this.#waiters.size === 0) return;
    if (this.#asking || this.#resting) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    this.#again = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    fetchResults(this.#lane, this.#schema, [...this.#waiters.keys()])
      .then((rows) => this.#answer(rows))
      .catch(() => {}) // asked again at the next poll
      .finally(() => {
        this.#asking = false;
        this.#schedule(this.#again ? this.#waiters.size * ASK_AGAIN_MS_PER_WAITER : null);
      });
  }

  #answer(rows: readonly ResultRow[]): void {
    for (const row of rows) {
      const waiters = this.#waiters.get(row.chain_no) ?? [];
      this.#waiters.delete(row.chain_no);
      for (const waiter of waiters) waiter.resolve(row);
    }
  }

  #schedule(soonMs: number | null): void {
    if (this.#waiters.size === 0 || this.#closed) return;
    if (soonMs !== null) {
      this.#resting = true;
      this.#timer = setTimeout(() => {
        this.#resting = false;
        this.#ask();
      }, soonMs);
      return;
    }
    this.#pollMs = Math.min(this.#pollMs * 1.5, this.#heard ? POLL_WITH_HINTS_MS : POLL_WITHOUT_HINTS_MS);
    this.#timer = setTimeout(() => this.#ask(), this.#pollMs);
  }
}

function shutDown(): ConnectionError {
  return new ConnectionError('result: the client was shut down');
}
