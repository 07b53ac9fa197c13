/**
 * Brings the threads of this process what was delivered to them in the database.
 *
 * Owns: when the inbox is looked at, and in what portions. Does not own: what becomes of a letter (active-thread.ts).
 *
 * Invariant: a thread gets its letters in the order of the inbox. While a pile of one is read by pages, nothing else brings it any.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { fetchMail, fetchRestOfMail } from '../postgres/protocol/threads.js';
import type { ActiveThread } from './active-thread.js';
import type { HostContext } from './host-context.js';
import { OneAtATime } from './one-at-a-time.js';

const FIRST_POLL_MS = 20;
const POLL_MS = 1_000;
/** Between pages of a pile: how long, and how often at most. */
const PILE_PAUSE_MS = 5;
const PILE_WAITS = 200;

export class ThreadMail {
  readonly #host: HostContext;
  /** What this process owns, by number. */
  readonly #threads: ReadonlyMap<number, ActiveThread>;
  readonly #fetching: OneAtATime;
  /** Those whose inbox is being read page by page. */
  readonly #piles = new Set<ActiveThread>();
  #pollMs = FIRST_POLL_MS;
  #lastPoll = 0;

  constructor(host: HostContext, threads: ReadonlyMap<number, ActiveThread>) {
    this.#host = host;
    this.#threads = threads;
    this.#fetching = new OneAtATime(
      () => this.#fetchNow(),
      (error) => host.callFailed('mail', error),
    );
  }

  /** Something was delivered. @returns when what was delivered before the call is here. */
  fetch(): Promise<void> {
    return this.#fetching.ask();
  }

  /** Hints may be lost, or switched off. */
  poll(): void {
    const pollMs = this.#host.listening() ? POLL_MS : this.#pollMs;
    if (this.#threads.size === 0 || this.#host.monotonic() - this.#lastPoll < pollMs) return;
    this.#pollMs = Math.min(POLL_MS, this.#pollMs * 1.5);
    void this.fetch();
  }

  async #fetchNow(): Promise<void> {
    if (this.#host.closed) return;
    this.#lastPoll = this.#host.monotonic();
    if (this.#threads.size === 0) return;
    const known: number[] = [];
    for (const thread of this.#threads.values()) for (const inboxNo of thread.knownMail) known.push(inboxNo);
    const { lanes, schema, registration } = this.#host;
    const mail = await fetchMail(lanes.claim, schema, registration.workerNo, known);
    let posted = false;
    for (const letter of mail) {
      const thread = this.#threads.get(letter.thread_no);
      if (thread === undefined || this.#piles.has(thread)) continue;
      thread.postMail(letter);
      posted = true;
    }
    if (!posted) return;
    this.#pollMs = FIRST_POLL_MS;
    void this.fetch();
  }

  /** Mail has piled up while nobody ran the thread: what lies behind `after` comes a page at a time. */
  async readPile(thread: ActiveThread, after: number): Promise<void> {
    const { lanes, schema, registration } = this.#host;
    const { threadNo, epoch } = thread;
    const isHere = () => this.#threads.get(threadNo) === thread && thread.epoch === epoch;
    this.#piles.add(thread);
    try {
      for (let from = after; ; ) {
        // What is consumed and not committed yet is in the database still.
        const known = [...thread.knownMail].filter((inboxNo) => inboxNo > from);
        const asked = { threadNo, after: from, known };
        const page = await fetchRestOfMail(lanes.claim, schema, registration.workerNo, asked);
        const last = page.at(-1);
        if (last === undefined || !isHere()) break;
        for (const letter of page) thread.postMail(letter);
        from = last.inbox_no;
        // So that no more than a page waits here; what is not taken in soon may wait for what is in the next one.
        for (let waits = 0; waits < PILE_WAITS && thread.knownMail.size > 0 && isHere(); waits++)
          await sleep(PILE_PAUSE_MS);
      }
    } finally {
      this.#piles.delete(thread);
    }
    void this.fetch();
  }
}
