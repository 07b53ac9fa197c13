/**
 * What waits to be delivered to a thread, in the order in which it came, but for what has to come first.
 *
 * Owns: which delivery is next. Does not own: what becomes of it (active-thread.ts).
 */

import { decodePayload } from '../codec/payload.js';
import type { Seal } from '../codec/payload-codec.js';
import type { Event } from '../core/history.js';
import type { OpenOperations } from './open-operation.js';

export interface Delivery {
  readonly event: Event;
  /** Of the row it came in; null for what happened in this process. */
  readonly inboxNo: number | null;
}

/**
 * What a refused entry held, as it came. Nothing for what the database decided: that comes with the history again.
 * @throws {PayloadCodecError} when it cannot be opened.
 */
export function deliveredAgain({ event, inboxNo }: Delivery, seal: Seal): Delivery[] {
  if (event.kind === 'decided' || event.kind === 'cancelled') return [];
  if (event.kind === 'cancel') return [{ event: { kind: 'cancel', ops: [] }, inboxNo }];
  // Code that got the value may have changed it.
  return [{ event: 'text' in event ? { ...event, value: decodePayload(event.text, seal) } : event, inboxNo }];
}

/** What ends a wait without its signal. */
type Ending = Extract<Event, { kind: 'cancel' | 'cancelled' | 'fire' }>;

/** From this length on an array moves all its items when the first one is taken away. */
const LONG = 1_000;

export class Mailbox {
  readonly #open: OpenOperations;
  /** Of a long one the first {@link #taken} are gone already. */
  #line: Delivery[] = [];
  #taken = 0;

  /** @param open Operations of the thread that nothing has settled yet. */
  constructor(open: OpenOperations) {
    this.#open = open;
  }

  get empty(): boolean {
    return this.#line.length === this.#taken;
  }

  get #first(): Delivery | undefined {
    return this.#line[this.#taken];
  }

  get #waiting(): Delivery[] {
    if (this.#taken > 0) this.#line.splice(0, this.#taken);
    this.#taken = 0;
    return this.#line;
  }

  /** Whether what the database decided is here: it comes before all else. */
  get beginsWithDecision(): boolean {
    return this.#first?.event.kind === 'decided';
  }

  /** Whether an outcome is here that stands nowhere else. */
  get holdsOutcome(): boolean {
    return this.#waiting.some(
      ({ inboxNo, event }) => inboxNo === null && (event.kind === 'done' || event.kind === 'fail'),
    );
  }

  add(delivery: Delivery): void {
    this.#line.push(delivery);
  }

  /** Before all that is here. */
  addFirst(...deliveries: Delivery[]): void {
    this.#waiting.unshift(...deliveries);
  }

  /** Whether something is here for the operation. */
  has(op: number): boolean {
    return this.#waiting.some(({ event }) => 'op' in event && event.op === op);
  }

  /** Of all that is here: who asks about thousands of operations would walk through it for each. */
  get ops(): Set<number> {
    const ops = new Set<number>();
    for (const { event } of this.#waiting) if ('op' in event) ops.add(event.op);
    return ops;
  }

  /** Whether the operation's timer is here. */
  hasTimer(op: number): boolean {
    return this.#waiting.some(({ event }) => (event.kind === 'fire' || event.kind === 'retry') && event.op === op);
  }

  /** Leaves what the database has as well: rows of the inbox, timers. */
  keepUnstored(): void {
    this.#line = this.#waiting.filter(
      ({ inboxNo, event }) => inboxNo === null && event.kind !== 'fire' && event.kind !== 'retry',
    );
  }

  clear(): void {
    this.#line = [];
    this.#taken = 0;
  }

  /**
   * The next delivery. What a wait was given stands before whatever else would end that wait (a cancel, its timeout): the
   * signal is taken already, so a commit that ends the wait without it is stale, for ever.
   *
   * @param failed Whether the function failed and waits for its retry: for a cancel that comes now, and finds the request.
   */
  take(failed: boolean): Delivery | undefined {
    const first = this.#first?.event;
    if (first?.kind === 'cancel' && failed) {
      for (const [op, operation] of this.#open) {
        if (operation.kind === 'retry') return { event: { kind: 'retry', op }, inboxNo: null };
      }
    }
    const ending = first === undefined ? first : this.rejecting(first);
    if (ending?.kind === 'cancel' || ending?.kind === 'fire' || ending?.kind === 'cancelled') {
      const given = this.#signalBefore(ending);
      if (given > 0) return this.#waiting.splice(given, 1)[0];
      this.#noteFailedHooks();
    }
    return this.#takeFirst();
  }

  #takeFirst(): Delivery | undefined {
    if (this.#taken === 0 && this.#line.length < LONG) return this.#line.shift();
    const first = this.#first;
    this.#taken++;
    if (2 * this.#taken >= this.#line.length) this.#line = this.#waiting;
    return first;
  }

  /** The answer to a scope's cancelling rejects what was pending in it and still is. */
  rejecting(event: Event): Event {
    if (event.kind !== 'decided') return event;
    const operation = this.#open.get(event.op);
    if (operation?.kind !== 'cancel') return event;
    return { kind: 'cancelled', op: event.op, ops: operation.ops.filter((op) => this.#open.has(op)) };
  }

  /** Where a wait that would end has its signal; -1: nowhere. */
  #signalBefore(ending: Ending): number {
    return this.#waiting.findIndex(
      ({ event }) =>
        (event.kind === 'signal' || event.kind === 'decided') && this.#open.has(event.op) && ends(ending, event.op),
    );
  }

  /** A hook's failure has taken the wait as well, but comes in its turn: a hook that is cancelled with its caller fails. */
  #noteFailedHooks(): void {
    for (const { event } of this.#waiting) {
      const failing = event.kind === 'fail' ? this.#open.get(event.op) : undefined;
      if (failing?.kind === 'hook') failing.failed = true;
    }
  }
}

function ends(event: Ending, op: number): boolean {
  if (event.kind === 'fire') return event.op === op;
  return event.kind === 'cancel' || event.ops.includes(op);
}
