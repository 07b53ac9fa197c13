// @ts-check
/** What can be seen of the orders from outside: what the ledger holds, and how the orders are said to have ended. */
import { isDeepStrictEqual } from 'node:util';
import { Ledger } from './ledger.mjs';
import { expectedOf } from './orders.mjs';

/** @typedef {import('./engine.mjs').Ending} Ending */

export class Watch {
  #orders;
  #toComplete;
  #completed = new Set();
  ledger;
  /** @type {Map<number, Ending>} */
  endings = new Map();
  /** Orders that had ended in one way before a crash and in another after it. @type {Set<number>} */
  changed = new Set();
  /** When something was last seen to happen. */
  newsAt = Date.now();

  /** @param {number} orders */
  constructor(orders) {
    this.#orders = orders;
    this.#toComplete = 0;
    for (let order = 1; order <= orders; order++) this.#toComplete += expectedOf(order).steps.length;
    this.ledger = new Ledger();
  }

  /** Steps that some execution completed. */
  get steps() {
    return this.#completed.size;
  }

  /** How much of the work is done, 0 to 1. */
  get share() {
    return Math.min(1, this.#completed.size / this.#toComplete);
  }

  get over() {
    return this.endings.size === this.#orders;
  }

  look() {
    for (const { event, order, step } of this.ledger.follow()) {
      this.newsAt = Date.now();
      if (event === 'done') this.#completed.add(`${order} ${step}`);
    }
  }

  /** After a crash every ending is told again. @param {number} order @param {Ending} ending */
  ended(order, ending) {
    this.newsAt = Date.now();
    const known = this.endings.get(order);
    if (known !== undefined && !isDeepStrictEqual(known, ending)) this.changed.add(order);
    this.endings.set(order, ending);
  }

  /** The orders that have not ended. */
  get open() {
    const numbers = Array.from({ length: this.#orders }, (_, index) => index + 1);
    return numbers.filter((number) => !this.endings.has(number));
  }
}
