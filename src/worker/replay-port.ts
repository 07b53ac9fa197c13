/**
 * Turns and patience for a replay, from Node's event loop.
 *
 * Between two macrotasks Node runs microtasks until there are none, then the queue of nextTick: a tick asked for by a
 * microtask comes when all microtasks have run.
 */

import type { ReplayPort } from '../replay/replay.js';

/** Calls `then` when all microtasks that follow from now on have run. */
export function whenDrained(then: () => void): void {
  queueMicrotask(() => process.nextTick(then));
}

export const nodeReplayPort: ReplayPort = {
  drained: () => new Promise((resolve) => whenDrained(resolve)),
  turn: () => new Promise((resolve) => setImmediate(resolve)),
  async patience(until, ms) {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), ms);
    });
    const came = await Promise.race([until.then(() => true), late]);
    clearTimeout(timer);
    return came;
  },
};
