/**
 * Back-pressure: how much waits on a task queue, and whether one more start is taken.
 *
 * What waits is counted in the database at most every 250 ms and queue, whatever is started; what this client starts in between
 * is added. Other clients are seen with the next count, so that the limit may be passed by what they start meanwhile.
 */

import { QueueFullError } from '../core/errors.js';

export interface BacklogLimit {
  /** So much may wait on a queue. */
  readonly maxBacklog: number;
  readonly onFull: 'reject' | 'wait';
}

/** Counts what waits on a queue, `limit` standing for more. */
export type CountWaiting = (taskQueue: string, limit: number) => Promise<number>;

interface Queue {
  waiting: number;
  /** Started, and not in the last count. */
  started: number;
  /** Of those: are durable, or failed. The next count has what became of them. */
  answered: number;
  countedAt: number;
  counting: Promise<void> | null;
}

const COUNT_EVERY_MS = 250;
/** No longer than a client waits for its database. */
const WAIT_AT_MOST_MS = 30_000;

export class Backlog {
  readonly #limit: BacklogLimit;
  readonly #count: CountWaiting;
  readonly #now: () => number;
  readonly #queues = new Map<string, Queue>();

  constructor(limit: BacklogLimit, count: CountWaiting, now: () => number = () => performance.now()) {
    this.#limit = limit;
    this.#count = count;
    this.#now = now;
  }

  /**
   * Resolves when one more may be started.
   * @returns what to call when that was answered.
   * @throws {QueueFullError}
   */
  async admit(taskQueue: string): Promise<() => void> {
    const { maxBacklog, onFull } = this.#limit;
    const queue = this.#queueOf(taskQueue);
    const giveUpAt = this.#now() + WAIT_AT_MOST_MS;
    for (;;) {
      if (this.#now() - queue.countedAt >= COUNT_EVERY_MS) await this.#refresh(taskQueue, queue);
      if (queue.waiting + queue.started < maxBacklog) {
        queue.started++;
        return () => {
          queue.answered++;
        };
      }
      if (onFull === 'reject' || this.#now() >= giveUpAt)
        throw new QueueFullError(taskQueue, queue.waiting + queue.started, maxBacklog);
      await new Promise((resolve) => setTimeout(resolve, COUNT_EVERY_MS));
    }
  }

  /** Counts once for all who ask meanwhile. */
  #refresh(taskQueue: string, queue: Queue): Promise<void> {
    queue.counting ??= (async () => {
      const before = queue.answered;
      try {
        queue.waiting = await this.#count(taskQueue, this.#limit.maxBacklog);
        queue.started -= before;
        queue.answered -= before;
        queue.countedAt = this.#now();
      } finally {
        queue.counting = null;
      }
    })();
    return queue.counting;
  }

  #queueOf(taskQueue: string): Queue {
    let queue = this.#queues.get(taskQueue);
    if (queue === undefined) {
      queue = { waiting: 0, started: 0, answered: 0, countedAt: -Infinity, counting: null };
      this.#queues.set(taskQueue, queue);
    }
    return queue;
  }
}
