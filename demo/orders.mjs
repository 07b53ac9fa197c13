// @ts-check
/**
 * What an order is, what the world will do to it, and what has to become of it. Everything follows from the order's
 * number, without the engine: so its results can be held against something.
 */

/** What has to become of an order. @typedef {{ outcome: Outcome, steps: string[] }} Expected */
/** @typedef {'shipped' | 'card declined' | 'out of stock' | 'not approved' | 'undeliverable'} Outcome */

/** @type {readonly Outcome[]} */
export const outcomes = ['shipped', 'card declined', 'out of stock', 'not approved', 'undeliverable'];

const catalogue = ['kettle', 'lamp', 'chair', 'teapot'];

/** @param {number} number */
export function makeOrder(number) {
  return {
    number,
    amount: 20 + ((number * 37) % 480),
    items: catalogue.slice(0, 1 + (number % catalogue.length)),
    pickingMs: 1_000 + ((number * 131) % 1_500),
    needsApproval: number % 3 === 0,
  };
}

/**
 * What the world does to an order, beyond its being slow.
 *
 * @param {number} number
 */
export function fateOf(number) {
  const { items, needsApproval } = makeOrder(number);
  return {
    cardDeclined: number % 19 === 7,
    /** The item that the warehouse does not have. */
    missing: number % 11 === 5 ? items.at(-1) : undefined,
    approved: needsApproval && number % 5 !== 0,
    undeliverable: number % 13 === 4,
  };
}

/**
 * How many attempts of a step fail before one works.
 *
 * @param {number} number
 * @param {string} step
 */
export function failuresBefore(number, step) {
  if (step === 'charge') return number % 4 === 1 ? 1 + (number % 3) : 0;
  if (step === 'reserve lamp') return number % 6 === 1 ? 2 : 0;
  if (step === 'print label') return number % 8 === 2 ? 1 : 0;
  if (step === 'refund') return number % 2;
  return 0;
}

/**
 * What has to become of an order: its outcome, and the steps it takes to get there, in alphabetical order.
 *
 * @param {number} number
 * @returns {Expected}
 */
export function expectedOf(number) {
  const { items, needsApproval } = makeOrder(number);
  const { cardDeclined, missing, approved, undeliverable } = fateOf(number);
  const reserved = items.filter((item) => item !== missing);
  const taken = ['charge', ...reserved.map((item) => `reserve ${item}`)];
  const givenBack = ['refund', ...reserved.map((item) => `release ${item}`)];
  const asked = needsApproval ? ['ask for approval'] : [];

  /** @type {(outcome: Outcome, ...steps: string[]) => Expected} */
  const ends = (outcome, ...steps) => ({ outcome, steps: [...steps, 'write to customer'].sort() });
  if (cardDeclined) return ends('card declined');
  if (missing !== undefined) return ends('out of stock', ...taken, ...givenBack);
  if (needsApproval && !approved) return ends('not approved', ...taken, ...asked, ...givenBack);
  if (undeliverable) return ends('undeliverable', ...taken, ...asked, 'print label', ...givenBack);
  return ends('shipped', ...taken, ...asked, 'print label', 'hand over');
}
