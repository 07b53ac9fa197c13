/** Turns and patience for a replay, from Node's event loop. */

import type { ReplayPort } from '../replay/replay.js';

export const nodeReplayPort: ReplayPort = {
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
