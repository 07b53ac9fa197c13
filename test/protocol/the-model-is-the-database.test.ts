/**
 * The store that random workflows are simulated over answers as the functions do: runs of the simulation are made again, call
 * by call, on a database, each answer and in the end all rows are compared. MODEL_RUNS=2000 makes more of them.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { differenceOf, followClock, suspectNobody } from '../support/model-check.js';
import { onServer } from '../support/protocol.js';
import { runFleet } from '../support/simulated-fleet.js';
import { fleets, type Root } from '../support/simulated-program.js';

const numRuns = Number(process.env.MODEL_RUNS ?? 50);
const seed = Number(process.env.MODEL_SEED ?? 1);

onServer('the model of the store', (session) => {
  it('answers as the functions do, whatever happens to random workflows', {
    timeout: 60_000 + 500 * numRuns,
  }, async () => {
    await followClock(session());
    await suspectNobody(session());
    let calls = 0;
    const compare = async (roots: readonly Root[], schedule: number) => {
      const { store } = await runFleet(roots, schedule, { keepCalls: true });
      calls += store.calls.length;
      expect(await differenceOf(session(), store)).toBeNull();
    };
    await fc.assert(fc.asyncProperty(fleets(), fc.integer(), compare), {
      numRuns,
      seed,
      interruptAfterTimeLimit: 45_000 + 500 * numRuns,
    });
    console.log(`${numRuns} runs, ${calls} calls answered alike`);
  });
});
