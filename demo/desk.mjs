// @ts-check
/**
 * The people around the engine: who places the orders, who approves them, who waits for the results. After a crash all
 * of it is simply done again: ids and ledger tell what was done before, and what is done twice does not matter.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Errors } from 'perdure';
import { fateOf } from './orders.mjs';

/** @typedef {import('perdure').Client} Client */

const THINKING_MS = 400;

/**
 * Starts an order, or finds the one that was started before.
 *
 * @param {Client} client
 * @param {number} number
 */
export async function place(client, number) {
  try {
    const args = [number];
    return await client.workflow.start({ taskQueue: 'orders', workflowName: 'order', workflowId: idOf(number), args });
  } catch (error) {
    if (error instanceof Errors.DuplicateJobError) return handleOf(client, number);
    throw error;
  }
}

/**
 * Answers the questions that the workflows ask in the ledger and that have no answer there. The answer is written down
 * behind the signal: whoever is killed between the two signals again.
 *
 * @param {Client} client
 * @param {import('./ledger.mjs').Ledger} ledger
 */
export async function answerQuestions(client, ledger) {
  /** When each open question was asked. @type {Map<number, number>} */
  const asked = new Map();
  const answered = new Set();
  for (;;) {
    for (const { event, step, order, at } of ledger.follow()) {
      if (event === 'answered') answered.add(order);
      else if (event === 'done' && step === 'ask for approval') asked.set(order, at);
    }
    for (const [order, at] of asked) {
      if (Date.now() < at + THINKING_MS) continue;
      if (!answered.has(order)) await answer(client, ledger, order);
      asked.delete(order);
    }
    await sleep(50);
  }
}

/** Some people click twice. @param {Client} client @param {import('./ledger.mjs').Ledger} ledger @param {number} order */
async function answer(client, ledger, order) {
  const handle = await handleOf(client, order);
  const { approved } = fateOf(order);
  for (let click = 0; click < (order % 4 === 0 ? 2 : 1); click++) {
    try {
      await handle.signal('approval', { approved });
    } catch (error) {
      if (!(error instanceof Errors.InactiveJobError)) throw error; // the order did not wait for a second answer
    }
  }
  ledger.write({ event: 'answered', order, step: 'approval' });
}

/** @param {Client} client @param {number} number */
function handleOf(client, number) {
  return client.workflow.getHandle('orders', 'order', idOf(number));
}

/** @param {number} number */
function idOf(number) {
  return `order-${number}`;
}
