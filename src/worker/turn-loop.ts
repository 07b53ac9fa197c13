/**
 * Delivers events to live workflows, one per macrotask turn and workflow, many workflows in the same turn.
 *
 * In one tick: what was delivered in the tick before has run (all microtasks are over), so its commands are collected;
 * then every waiting workflow gets its next event. One `setImmediate` serves all of them (0.8 us).
 */

import { drain } from '../replay/drain.js';
import { whenDrained } from './replay-port.js';

export interface Turning {
  /** All microtasks that followed from the delivery have run; what comes later in the turn is none of its doing. */
  drained(): void;
  /** The turn is over: collects what came out. @returns whether the next event should be delivered. */
  collect(): boolean;
  /** Delivers the next event. @returns false when there was none to deliver. */
  deliver(): boolean;
}

export class TurnLoop {
  #waiting: Turning[] = [];
  #delivered: Turning[] = [];
  #scheduled = false;

  /** Asks for a turn. The caller asks once until it got it. */
  add(turning: Turning): void {
    this.#waiting.push(turning);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#tick());
  }

  #tick(): void {
    this.#scheduled = false;
    const delivered = this.#delivered;
    const waiting = this.#waiting;
    this.#delivered = [];
    this.#waiting = [];
    for (const turning of delivered) if (turning.collect()) waiting.push(turning);
    for (const turning of waiting) if (turning.deliver()) this.#delivered.push(turning);
    if (this.#delivered.length > 0 || this.#waiting.length > 0) this.#schedule();
    if (this.#delivered.length === 0) return;
    drain.running = true;
    whenDrained(this.#drained);
  }

  readonly #drained = (): void => {
    drain.running = false;
    for (const turning of this.#delivered) turning.drained();
  };
}
