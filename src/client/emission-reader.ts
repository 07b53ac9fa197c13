/**
 * Brings emitted events to subscriptions: one reader per database and namespace, whatever the number of subscriptions. It
 * asks when something was emitted (a hint), and every now and then in case the hint was lost.
 *
 * Owns: when the database is asked, and for whom. Does not own: the callbacks and their order (subscription.ts).
 *
 * 1. While nothing is emitted a poll reads one row, for all subscriptions together.
 * 2. A subscription is asked for only when its callback has dealt with everything before: a slow one holds nobody up, and
 *    keeps at most one page in memory.
 */

import { ConnectionError, InvalidArgumentError } from '../core/errors.js';
import type { Lane, QueryOptions } from '../postgres/database.js';
import { ANYTHING, LOST, type Notifier } from '../postgres/notifications.js';
import { type EmissionQuery, fetchEmissions } from '../postgres/protocol/emissions.js';
import { type DealWith, OpenSubscription, type Subscription } from './subscription.js';

const POLL_WITH_HINTS_MS = 5_000;
const POLL_WITHOUT_HINTS_MS = 1_000;
const FIRST_POLL_MS = 20;
/** Each question looks through an index for every subscription: with 1,000 of them and a hint per commit that is too much. */
const ASK_AGAIN_MS_PER_SUBSCRIPTION = 0.02;
/** A page may be far larger than the deadline of a small call allows for. */
const DEADLINE_MS = 60_000;

export class EmissionReader {
  readonly #lane: Lane;
  readonly #schema: string;
  readonly #subscriptions = new Set<OpenSubscription>();
  readonly #stopHearing: () => void;
  #timer: NodeJS.Timeout | null = null;
  #asking = false;
  #resting = false;
  #again = false;
  #listening = false;
  #closed = false;
  #pollMs = FIRST_POLL_MS;
  /** The last position that is known to have been given. */
  #last = 0;

  constructor(lane: Lane, schema: string, notifier: Notifier) {
    this.#lane = lane;
    this.#schema = schema;
    this.#stopHearing = notifier.subscribe((hint) => {
      if (hint === ANYTHING) this.#listening = true;
      if (hint !== 'm' && hint !== LOST && hint !== ANYTHING) return;
      this.#pollMs = FIRST_POLL_MS;
      this.#ask();
    });
  }

  /**
   * @param from The position behind which to begin; null: the end.
   * @throws {InvalidArgumentError} when nothing has that position yet.
   */
  async subscribe(
    interest: Omit<EmissionQuery, 'after'>,
    from: number | null,
    dealWith: DealWith,
    patience: QueryOptions,
  ): Promise<Subscription> {
    const { last } = await fetchEmissions(this.#lane, this.#schema, [], patience);
    if (this.#closed) throw new ConnectionError('subscribe: the client was shut down');
    if (from !== null && from > last)
      throw new InvalidArgumentError(
        `subscribe: from must be a position that was given in this namespace, ${last} at most; got ${from}. Is it one of another database?`,
      );
    const forget = (ended: OpenSubscription) => this.#subscriptions.delete(ended);
    const subscription = new OpenSubscription({ ...interest, after: from ?? last }, dealWith, forget);
    this.#subscriptions.add(subscription);
    this.#last = Math.max(this.#last, last);
    this.#pollMs = FIRST_POLL_MS;
    this.#ask();
    return subscription;
  }

  close(): void {
    this.#closed = true;
    this.#stopHearing();
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const subscription of [...this.#subscriptions]) subscription.unsubscribe();
  }

  #ask(): void {
    if (this.#asking || this.#resting) {
      this.#again = true;
      return;
    }
    if (this.#closed || this.#subscriptions.size === 0) return;
    this.#asking = true;
    this.#again = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#round()
      .catch(() => {}) // asked again at the next poll
      .finally(() => {
        this.#asking = false;
        this.#schedule();
      });
  }

  /** Learns how far events go; brings those who are behind a page each. */
  async #round(): Promise<void> {
    const { last } = await fetchEmissions(this.#lane, this.#schema, []);
    this.#last = last;
    const idle = [...this.#subscriptions].filter(({ isIdle }) => isIdle);
    for (const subscription of idle) subscription.goBackTo(last);
    const behind = idle.filter(({ position }) => position < last);
    if (behind.length === 0) return;
    const queries = behind.map(({ query }) => query);
    const { pages } = await fetchEmissions(this.#lane, this.#schema, queries, { deadlineMs: DEADLINE_MS });
    this.#pollMs = FIRST_POLL_MS;
    for (const [index, subscription] of behind.entries()) {
      const page = pages[index];
      if (page === undefined) continue;
      void subscription.take(page).then(() => {
        if (subscription.position < this.#last) this.#ask();
      });
    }
  }

  #schedule(): void {
    if (this.#closed || this.#subscriptions.size === 0) return;
    if (this.#again) {
      this.#resting = true;
      this.#timer = setTimeout(() => {
        this.#resting = false;
        this.#ask();
      }, this.#subscriptions.size * ASK_AGAIN_MS_PER_SUBSCRIPTION);
      return;
    }
    this.#pollMs = Math.min(this.#pollMs * 1.5, this.#listening ? POLL_WITH_HINTS_MS : POLL_WITHOUT_HINTS_MS);
    this.#timer = setTimeout(() => this.#ask(), this.#pollMs);
  }
}
