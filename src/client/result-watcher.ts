/**
 * Waits for the outcomes of workflows: one watcher per database and namespace, whatever the number of waiters.
 *
 * What ends in this process says so, with its outcome. What ends elsewhere names itself in a hint (`r12`: chain 12), and only
 * that is asked for, so that cost grows with completions. In case its hint was lost each chain is also asked for by itself: a
 * few times soon, then in turn with all that have waited long, so many a second and no more, however many wait. Without
 * hints from other processes that is how ends are found.
 */

import { ConnectionError } from '../core/errors.js';
import type { Lane } from '../postgres/database.js';
import type { Notifier } from '../postgres/notifications.js';
import { ANYTHING, LOST } from '../postgres/notifications.js';
import { fetchResults, type ResultRow } from '../postgres/protocol/executions.js';

/** Pauses before the first, second, ... question for a chain that no hint named. */
const POLL_MS = [20, 50, 120, 300, 800, 2_000, 5_000] as const;
/** The last of them where no hint comes from other processes. */
const LAST_WITHOUT_HINTS = 4;
const MOST_AT_ONCE = 1_000;
/** Of those that have waited long, {@link MOST_AT_ONCE} are asked for this often: with hints, and where none comes. */
const ROUND_MS = 1_000;
const ROUND_WITHOUT_HINTS_MS = 100;
/** Chains whose end was heard of before anybody waited for it: so many are remembered. */
const MOST_REMEMBERED = 10_000;

interface Waiter {
  resolve(row: ResultRow): void;
  reject(error: unknown): void;
}

interface Waiting {
  readonly waiters: Waiter[];
  /** How often it was asked for by itself. */
  polls: number;
  dueAt: number;
}

export class ResultWatcher {
  readonly #lane: Lane;
  readonly #schema: string;
  readonly #waiting = new Map<number, Waiting>();
  /** By the number of polls: chains in the order in which they are due. */
  readonly #due = POLL_MS.map(() => new Map<number, Waiting>());
  readonly #ended = new Set<number>();
  readonly #unsubscribe: () => void;
  #wanted = new Set<number>();
  #timer: NodeJS.Timeout | null = null;
  #wakesAt = Infinity;
  #roundEndsAt = 0;
  #turnsLeft = 0;
  #asking = false;
  #closed = false;
  #heard = false;

  constructor(lane: Lane, schema: string, notifier: Notifier) {
    this.#lane = lane;
    this.#schema = schema;
    const unsubscribe = [
      notifier.subscribe((hint) => this.#hear(hint)),
      notifier.onEnded((ending) => this.#answer(ending)),
    ];
    this.#unsubscribe = () => {
      for (const each of unsubscribe) each();
    };
  }

  /**
   * Resolves when the chain has ended. Rejects only when the watcher is closed.
   * @param fresh Started by this process a moment ago: not asked for at once, unless its end was heard of already.
   */
  outcome(chainNo: number, fresh = false): Promise<ResultRow> {
    if (this.#closed) return Promise.reject(shutDown());
    return new Promise((resolve, reject) => {
      const known = this.#waiting.get(chainNo);
      if (known !== undefined) known.waiters.push({ resolve, reject });
      else this.#wait(chainNo, { waiters: [{ resolve, reject }], polls: 0, dueAt: 0 });
      if (!fresh || this.#ended.delete(chainNo)) this.#ask(chainNo);
    });
  }

  /** For how many chains somebody waits. */
  get waiting(): number {
    return this.#waiting.size;
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const { waiters } of this.#waiting.values()) for (const waiter of waiters) waiter.reject(shutDown());
    this.#waiting.clear();
  }

  #hear(hint: string): void {
    if (hint === ANYTHING || hint === LOST) {
      this.#heard ||= hint === ANYTHING;
      for (const chainNo of this.#waiting.keys()) this.#ask(chainNo);
    } else if (hint.startsWith('r')) {
      const chainNo = Number(hint.slice(1));
      if (this.#waiting.has(chainNo)) this.#ask(chainNo);
      else this.#remember(chainNo);
    }
  }

  #remember(chainNo: number): void {
    this.#ended.add(chainNo);
    if (this.#ended.size <= MOST_REMEMBERED) return;
    const [oldest] = this.#ended;
    if (oldest !== undefined) this.#ended.delete(oldest);
  }

  // ---- asking

  #ask(chainNo: number): void {
    this.#wanted.add(chainNo);
    if (!this.#asking) void this.#askAll();
  }

  async #askAll(): Promise<void> {
    this.#asking = true;
    // What is wanted in this turn goes as one question.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#wanted.size > 0 && !this.#closed) {
      const chains: number[] = [];
      for (const chainNo of this.#wanted) {
        if (chains.length === MOST_AT_ONCE) break;
        this.#wanted.delete(chainNo);
        if (this.#waiting.has(chainNo)) chains.push(chainNo);
      }
      if (chains.length === 0) continue;
      try {
        for (const row of await fetchResults(this.#lane, this.#schema, chains)) this.#answer(row);
      } catch {
        // Asked for again when it is due.
      }
    }
    this.#asking = false;
  }

  #answer(row: ResultRow): void {
    const waiting = this.#waiting.get(row.chain_no);
    if (waiting === undefined) return;
    this.#waiting.delete(row.chain_no);
    this.#due[waiting.polls]?.delete(row.chain_no);
    for (const waiter of waiting.waiters) waiter.resolve(row);
  }

  // ---- polling

  #wait(chainNo: number, waiting: Waiting): void {
    waiting.dueAt = performance.now() + (POLL_MS[waiting.polls] as number);
    this.#waiting.set(chainNo, waiting);
    this.#due[waiting.polls]?.set(chainNo, waiting);
    this.#wakeAt(waiting.dueAt);
  }

  #poll(): void {
    const now = performance.now();
    const last = this.#heard ? POLL_MS.length - 1 : LAST_WITHOUT_HINTS;
    if (now >= this.#roundEndsAt) {
      this.#roundEndsAt = now + (this.#heard ? ROUND_MS : ROUND_WITHOUT_HINTS_MS);
      this.#turnsLeft = MOST_AT_ONCE;
    }
    for (const [polls, queue] of [...this.#due.entries()].reverse()) {
      for (const [chainNo, waiting] of queue) {
        if (waiting.dueAt > now) break;
        if (polls >= last && this.#turnsLeft-- <= 0) break;
        queue.delete(chainNo);
        waiting.polls = Math.min(waiting.polls + 1, Math.max(last, waiting.polls));
        this.#wait(chainNo, waiting);
        this.#ask(chainNo);
      }
    }
    for (const [polls, queue] of this.#due.entries()) {
      const [first] = queue.values();
      const isTheirTurn = polls < last || this.#turnsLeft > 0;
      if (first !== undefined) this.#wakeAt(isTheirTurn ? first.dueAt : Math.max(first.dueAt, this.#roundEndsAt));
    }
  }

  #wakeAt(dueAt: number): void {
    if (this.#closed || this.#wakesAt <= dueAt) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#wakesAt = dueAt;
    this.#timer = setTimeout(
      () => {
        this.#wakesAt = Infinity;
        this.#poll();
      },
      Math.max(1, dueAt - performance.now()),
    );
  }
}

function shutDown(): ConnectionError {
  return new ConnectionError('result: the client was shut down');
}
