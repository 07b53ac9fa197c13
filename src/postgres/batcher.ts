/**
 * Group commit: whatever became ready while the last call was in flight goes out as one call.
 *
 * Owns: how items form calls, and that a fault does not spread. Does not own: what is sent.
 *
 * Invariants:
 * 1. One call is in flight on the main lane. At low load a batch is one item; nothing waits for company. At high load the
 *    next call is sent before the answers of the last one are dealt with, so that client and server work at the same time.
 * 2. An item is in one batch at a time. Callers submit two items of one execution one after the other.
 * 3. When a call fails, its batch moves to the side lane and is split until the culprit stands alone; only that item
 *    sees the error. The main lane goes on meanwhile.
 * 4. A row held by a caller's open transaction (55P03 after 100 ms) is no error: the item is sent again on the side
 *    lane until it passes, in turn with the others there, never passed over.
 * 5. Of a fault of the server's own the culprit may be innocent: it is sent again some times, the others going on in between.
 */

import { ConnectionError, IsolationLevelError, LeaseLostError } from '../core/errors.js';
import { backoffMs } from './backoff.js';
import type { Lane } from './database.js';
import { FairQueue } from './fair-queue.js';
import { isHeld, restFromHeldRow } from './held-row.js';
import { isServerFault, knownError } from './sql-error.js';

export interface BatcherOptions<Item, Answer> {
  readonly main: Lane;
  readonly side: Lane;
  /** Sends one call; the answers stand in the order of the items. */
  readonly send: (lane: Lane, items: readonly Item[]) => Promise<Answer[]>;
  readonly bytes: (item: Item) => number;
  readonly maxItems?: number;
  readonly maxBytes?: number;
  /**
   * An item larger than this goes over the side lane, by itself: a call of a megabyte takes twenty milliseconds, and whoever
   * stands behind 200 of them waits for seconds. Only for items that need no order among each other. Default: `maxBytes`.
   */
  readonly asideBytes?: number;
}

/** What a batch of ordinary items does not reach by far, so that one item of this size is felt in it. */
export const LARGE_ITEM_BYTES = 65_536;

/** Pauses of a second in the end, and in each attempt those of the lane: about 15 s in all. */
const FAULTS = 8;
const FIRST_PAUSE_BEHIND_FAULT_MS = 200;

/** Who gets the answer to an item: one call of one of the two. Neither may throw. */
export interface Caller<Answer> {
  /** It is durable. Called within the turn in which the call's answer came. */
  answered(answer: Answer): void;
  failed(error: unknown): void;
}

interface Entry<Item, Answer> {
  readonly item: Item;
  readonly bytes: number;
  readonly caller: Caller<Answer>;
  /** How often the server failed at it alone. */
  faults: number;
}

type HandOut = () => void;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

export class Batcher<Item, Answer> {
  readonly #options: Required<BatcherOptions<Item, Answer>>;
  readonly #queue = new FairQueue<Entry<Item, Answer>>();
  #aside: Entry<Item, Answer>[][] = [];
  #sending = false;
  #sendingAside = false;

  constructor(options: BatcherOptions<Item, Answer>) {
    const maxBytes = options.maxBytes ?? 1_048_576;
    this.#options = { maxItems: 500, asideBytes: maxBytes, ...options, maxBytes };
  }

  /** Resolves with the item's answer once it is durable. */
  submit(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => this.send(item, { answered: resolve, failed: reject }));
  }

  /**
   * As {@link submit}, without a promise: at thousands of items a second they count.
   *
   * @param group Whose it is: where many wait, all groups have their share of each call.
   */
  send(item: Item, caller: Caller<Answer>, group = 0): void {
    const entry = { item, bytes: this.#options.bytes(item), caller, faults: 0 };
    if (entry.bytes > this.#options.asideBytes) {
      this.#setAside([entry]);
      return;
    }
    this.#queue.push(entry, group);
    if (!this.#sending) void this.#pump();
  }

  async #pump(): Promise<void> {
    this.#sending = true;
    // Let everything that this turn makes ready join.
    await turn();
    let handOut: HandOut | null = null;
    while (this.#queue.length > 0) {
      const batch = this.#queue.take(this.#options.maxItems, this.#options.maxBytes);
      const asked = this.#ask(this.#options.main, batch);
      if (handOut !== null) {
        await turn(); // the call has left
        handOut();
      }
      handOut = await asked;
      if (handOut === null) this.#setAside(batch);
      else if (this.#queue.length === 0) {
        handOut();
        handOut = null;
      }
    }
    this.#sending = false;
  }

  #setAside(batch: Entry<Item, Answer>[]): void {
    this.#aside.push(batch);
    if (!this.#sendingAside) void this.#pumpAside();
  }

  async #pumpAside(): Promise<void> {
    this.#sendingAside = true;
    for (let batch = this.#aside.shift(); batch !== undefined; batch = this.#aside.shift()) {
      const handOut = await this.#ask(this.#options.side, batch);
      if (handOut !== null) handOut();
      else if (batch.length === 1 && (batch[0]?.faults ?? 0) > 0) {
        setTimeout(() => this.#setAside(batch), backoffMs(batch[0]?.faults ?? 1, FIRST_PAUSE_BEHIND_FAULT_MS));
      } else if (batch.length === 1) {
        this.#aside.push(batch); // held by somebody: its turn comes again
        await restFromHeldRow();
      } else {
        const middle = batch.length >> 1;
        this.#aside.unshift(batch.slice(0, middle), batch.slice(middle));
      }
    }
    this.#sendingAside = false;
  }

  /** Never rejects. @returns what gives the answers to the callers; null when the batch has to be split, or sent again. */
  async #ask(lane: Lane, batch: Entry<Item, Answer>[]): Promise<HandOut | null> {
    try {
      const answers = await this.#options.send(
        lane,
        batch.map((entry) => entry.item),
      );
      return () => {
        for (let index = 0; index < batch.length; index++) batch[index]?.caller.answered(answers[index] as Answer);
      };
    } catch (error) {
      const known = knownError(error);
      const [first] = batch;
      const single = batch.length === 1 && !isHeld(error);
      if (single && first !== undefined && isServerFault(known) && ++first.faults < FAULTS) return null;
      if (single || concernsAll(known)) {
        return () => {
          for (const entry of batch) entry.caller.failed(known);
        };
      }
      return null;
    }
  }
}

/** Not about one item: the lease is lost, the lane gave up or was closed, the isolation level is wrong. */
function concernsAll(error: unknown): boolean {
  return error instanceof LeaseLostError || error instanceof ConnectionError || error instanceof IsolationLevelError;
}
