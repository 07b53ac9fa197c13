// @ts-check
/**
 * The steps of an order: what it asks of the world. Perdure runs them, retries them and records each result once.
 * Every execution is slow, some fail, and all are written to the ledger.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Durable } from 'perdure';
import { Ledger } from './ledger.mjs';
import { failuresBefore, fateOf } from './orders.mjs';

/** A result that a workflow used: of which step, and which execution of it. @typedef {{ step: string, execution: string }} Used */

/** Errors that no retry mends; the workflows' retry policy names them. */
class CardDeclined extends Error {}
class OutOfStock extends Error {}
class Undeliverable extends Error {}

const ledger = new Ledger();

/** @param {number} order @param {Used[]} after */
export async function charge(order, after) {
  return execute(order, 'charge', after, () => {
    if (fateOf(order).cardDeclined) throw new CardDeclined(`the card of order ${order} was declined`);
  });
}

/** @param {number} order @param {string} item @param {Used[]} after */
export async function reserve(order, item, after) {
  return execute(order, `reserve ${item}`, after, () => {
    if (fateOf(order).missing === item) throw new OutOfStock(`no ${item} is left`);
  });
}

/** @param {number} order @param {Used[]} after */
export async function askForApproval(order, after) {
  return execute(order, 'ask for approval', after); // desk.mjs finds it in the ledger
}

/** @param {number} order @param {Used[]} after */
export async function printLabel(order, after) {
  return execute(order, 'print label', after);
}

/** @param {number} order @param {Used[]} after */
export async function handOver(order, after) {
  return execute(order, 'hand over', after, () => {
    if (fateOf(order).undeliverable) throw new Undeliverable(`the carrier knows no such address`);
  });
}

/** @param {number} order @param {string} item @param {Used[]} after */
export async function release(order, item, after) {
  return execute(order, `release ${item}`, after);
}

/** @param {number} order @param {Used[]} after */
export async function refund(order, after) {
  return execute(order, 'refund', after);
}

/** @param {number} order @param {Used[]} after */
export async function writeToCustomer(order, after) {
  return execute(order, 'write to customer', after);
}

/**
 * One execution of a step.
 *
 * @param {number} order
 * @param {string} step
 * @param {Used[]} after
 * @param {() => void} [refuse] Throws when the world says no.
 * @returns {Promise<Used>}
 */
async function execute(order, step, after, refuse = () => {}) {
  const { attempt, idempotencyKey: key } = Durable.activity.getContext();
  const execution = randomUUID();
  const line = { order, step, execution, key, attempt, after };
  ledger.write({ event: 'began', ...line });
  await sleep(20 + ((order * 7 + step.length * 13) % 60));
  if (attempt <= failuresBefore(order, step)) {
    ledger.write({ event: 'failed', ...line });
    throw new Error(`${step}: service unavailable`);
  }
  try {
    refuse();
  } catch (error) {
    ledger.write({ event: 'refused', ...line });
    throw error;
  }
  ledger.write({ event: 'done', ...line });
  return { step, execution };
}
