import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainEnding } from '../../test/support/simulated-oracle.js';
import { type Program, programs } from '../../test/support/simulated-program.js';
import {
  endingOf,
  type Faults,
  replayHistory,
  runAtRandom,
  runKilledAtEachCommit,
} from '../../test/support/simulated-run.js';

const RUNS = Number(process.env.SIMULATED_PROGRAMS ?? 1_000);
const faults: Faults = { kills: 3, takeovers: 1, parks: 3 };

async function check(program: Program, seed: number): Promise<void> {
  const { store } = await runAtRandom(program, seed, faults);
  const stored = endingOf(store);
  const replayed = await replayHistory(program, store);
  expect(replayed.ending).toEqual(stored);
  expect(await plainEnding(program, replayed.entries.flat(), replayed.facts, false)).toEqual(stored);
  const killed = await runKilledAtEachCommit(program, replayed.entries);
  expect(endingOf(killed.store)).toEqual(stored);
}

describe('a random program', () => {
  it('ends as it does in plain JavaScript', { timeout: 600_000 }, async () => {
    const started = performance.now();
    await fc.assert(fc.asyncProperty(programs({ turns: false }), fc.integer(), check), { numRuns: RUNS });
    console.log(`${RUNS} programs in ${Math.round(performance.now() - started)} ms`);
  });
});
