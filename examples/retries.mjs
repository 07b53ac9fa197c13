// @ts-check
/** A failed activity is tried again as its policy says; an error that retrying does not mend ends it at once. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

class CardDeclined extends Error {}

const activities = {
  /** @param {string} card */
  async charge(card) {
    const { attempt, idempotencyKey } = Durable.activity.getContext();
    if (card === 'expired') throw new CardDeclined('the card has expired');
    if (attempt === 1) throw new Error('the payment provider does not answer');
    // An error may say itself when it wants to be tried again, instead of the policy's delay.
    if (attempt === 2) throw Object.assign(new Error('the payment provider is busy'), { nextRetryDelay: '50ms' });
    // The key is the same in every attempt: with it a provider charges once, whatever is repeated.
    return `charged in attempt ${attempt}, key ${idempotencyKey.length > 0 ? 'given' : 'missing'}`;
  },
};

/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { charge } = Durable.workflow.proxyActivities({
  retry: {
    maximumAttempts: 5, // retries behind the first attempt
    initialInterval: '100ms',
    backoffCoefficient: 2,
    nonRetryableErrorTypes: ['CardDeclined'],
  },
});

/** @param {string} card */
async function pay(card) {
  try {
    return await charge(card);
  } catch (error) {
    // What an activity failed with for good arrives as the cause of a DurableFatalError.
    const { cause } = /** @type {Error & { cause: Error }} */ (error);
    return `not charged: ${cause.name}, ${cause.message}`;
  }
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'payments', workflow: pay, activities });

const client = new Durable.Client({ connection });
for (const card of ['valid', 'expired']) {
  const handle = await client.workflow.start({ taskQueue: 'payments', workflowName: 'pay', args: [card] });
  console.log(await handle.result());
}
await Durable.shutdown();

// Prints:
// charged in attempt 3, key given
// not charged: CardDeclined, the card has expired
