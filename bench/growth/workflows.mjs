/** What the growth curves run, besides the workflows of the main benchmark. */
import { Durable } from 'perdure';
import { activities as plainActivities, workflows as plainWorkflows } from '../workflows.mjs';

const { proxyActivities, condition, sleep } = Durable.workflow;

/** The queue of activities that run in a process of their own. */
export const ELSEWHERE = 'elsewhere';

export const activities = {
  ...plainActivities,

  /** @param {string} payload */
  async echo(payload) {
    return payload;
  },

  /** @param {number} bytes */
  async fill(bytes) {
    return 'x'.repeat(bytes);
  },

  /** @param {number} order @param {string} step */
  async execute(order, step) {
    return { step, execution: `${order}-${step}-00000000-0000-0000-0000-000000000000` };
  },
};

const local = /** @type {import('perdure').ActivityProxy<typeof activities>} */ (proxyActivities({ activities }));
const remote = /** @type {import('perdure').ActivityProxy<typeof activities>} */ (
  proxyActivities({ taskQueue: ELSEWHERE })
);

export const workflows = {
  ...plainWorkflows,

  /** Each step takes what the one before gave, and runs in another process.
   * @param {number} value @param {number} steps */
  async remoteSequence(value, steps) {
    let sum = value;
    for (let step = 0; step < steps; step++) sum = await remote.addOne(sum);
    return sum;
  },

  /** Steps without end, with a stop behind each stretch of them: it goes on when told.
   * @param {string} id @param {number[]} stretches */
  async marathon(id, stretches) {
    let step = 0;
    for (const [index, stretch] of stretches.entries()) {
      for (let left = stretch; left > 0; left--) await local.noteTime(step++);
      if (index < stretches.length - 1) await condition(`${id}-${index}`);
    }
    return step;
  },

  /** @param {string} payload */
  async echo(payload) {
    return local.echo(payload);
  },

  /** Results that are made elsewhere, all at once. @param {number} width @param {number} bytes */
  async fanOut(width, bytes) {
    const results = await Promise.all(Array.from({ length: width }, () => remote.fill(bytes)));
    return results.reduce((sum, { length }) => sum + length, 0);
  },

  /**
   * An order as the demo has it, up to where it waits for a person: four steps, of which three side by side, a sleep, what is to be
   * undone should it fail, and the results so far.
   *
   * @param {number} number @param {string[]} items
   */
  async order(number, items) {
    const used = [];
    /** @type {(() => Promise<unknown>)[]} */
    const undo = [];
    try {
      used.push(await local.execute(number, 'charge'));
      undo.push(async () => used.push(await local.execute(number, 'refund')));
      const reserved = await Promise.allSettled(items.map((item) => local.execute(number, `reserve ${item}`)));
      for (const [index, reservation] of reserved.entries()) {
        if (reservation.status === 'rejected') continue;
        used.push(reservation.value);
        undo.push(async () => used.push(await local.execute(number, `release ${items[index]}`)));
      }
      await sleep(50);
      const answer = await condition('approval');
      if (answer !== 'approved') throw new Error('not approved');
    } catch (error) {
      for (const takeBack of undo.reverse()) await takeBack();
      throw error;
    }
    return used.length;
  },
};
