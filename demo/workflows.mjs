// @ts-check
/** The order pipeline: two workflows, written as if nothing ever failed between two lines. */
import { Durable } from 'perdure';
import { makeOrder } from './orders.mjs';

/** @typedef {import('./activities.mjs').Used} Used */
/** @typedef {import('./orders.mjs').Outcome} Outcome */
/** What a finished order says of itself. @typedef {{ outcome: Outcome, used: Used[], durableSteps: number }} OrderRecord */
/** What a shipment says of itself. @typedef {{ used: Used[], durableSteps: number }} Parcel */

const { workflow } = Durable;

/** @type {import('perdure').ActivityProxy<typeof import('./activities.mjs')>} */
const { charge, reserve, askForApproval, printLabel, handOver, release, refund, writeToCustomer } =
  workflow.proxyActivities({
    retry: {
      initialInterval: 200,
      backoffCoefficient: 2,
      nonRetryableErrorTypes: ['CardDeclined', 'OutOfStock', 'Undeliverable'],
    },
  });

/**
 * @param {number} number
 * @returns {Promise<OrderRecord>}
 */
export async function order(number) {
  const { items, pickingMs, needsApproval } = makeOrder(number);
  /** @type {Used[]} */
  const used = [];
  /** @type {(() => Promise<unknown>)[]} */
  const undo = [];
  let durableSteps = 0;
  /** @type {Outcome} */
  let outcome = 'shipped';

  try {
    used.push(await charge(number, used));
    undo.push(async () => used.push(await refund(number, used)));

    const paid = [...used];
    const reservations = await Promise.allSettled(items.map((item) => reserve(number, item, paid)));
    for (const [index, reservation] of reservations.entries()) {
      if (reservation.status === 'rejected') continue;
      used.push(reservation.value);
      undo.push(async () => used.push(await release(number, String(items[index]), used)));
    }
    const failed = reservations.find((reservation) => reservation.status === 'rejected');
    if (failed !== undefined) throw failed.reason;

    await workflow.sleep(pickingMs);

    if (needsApproval) {
      used.push(await askForApproval(number, used));
      /** @type {{ approved: boolean } | false} */
      const answer = await workflow.condition('approval', '1 hour');
      if (answer === false || !answer.approved) throw new NotApproved();
    }

    /** @type {Parcel} */
    const parcel = await workflow.executeChild({
      workflowName: 'shipment',
      workflowId: `shipment-${number}`,
      args: [number, used],
    });
    used.push(...parcel.used);
    durableSteps += parcel.durableSteps;
  } catch (error) {
    outcome = outcomeOf(error);
    for (const takeBack of undo.reverse()) await takeBack();
  }

  used.push(await writeToCustomer(number, used));
  return { outcome, used, durableSteps: durableSteps + workflow.workflowInfo().counter };
}

/**
 * @param {number} number
 * @param {Used[]} before
 * @returns {Promise<Parcel>}
 */
export async function shipment(number, before) {
  const label = await printLabel(number, before);
  await workflow.sleep(300);
  const handedOver = await handOver(number, [...before, label]);
  return { used: [label, handedOver], durableSteps: workflow.workflowInfo().counter };
}

class NotApproved extends Error {}

/**
 * What an error means for the order; one that means nothing is thrown on.
 *
 * @param {unknown} error
 * @returns {Outcome}
 */
function outcomeOf(error) {
  if (error instanceof NotApproved) return 'not approved';
  // The error of an activity that failed for good: its own one is the cause, by name.
  const name = error instanceof Error && error.cause instanceof Error ? error.cause.name : '';
  if (name === 'CardDeclined') return 'card declined';
  if (name === 'OutOfStock') return 'out of stock';
  if (name === 'Undeliverable') return 'undeliverable';
  throw error;
}
