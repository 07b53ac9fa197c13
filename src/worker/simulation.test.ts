/**
 * Random programs, run by the real thread, instance and replay over a store in memory, in virtual time, by one seed.
 *
 * A failing seed is printed with the smallest program that fails: give both to `fc.assert` as `seed` and `path`.
 * SIMULATED_PROGRAMS=100000 runs more of them.
 */

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

const numRuns = Number(process.env.SIMULATED_PROGRAMS ?? 1_000);
const faults: Faults = { kills: 3, takeovers: 1, parks: 3 };

/** All the ways of running a program, held against each other. */
async function compare(program: Program, seed: number): Promise<void> {
  const { store } = await runAtRandom(program, seed, faults);
  const stored = endingOf(store);

  const { ending, entries, facts, info } = await replayHistory(program, store);
  expect(ending).toEqual(stored);

  const told = entries.flat();
  expect(await plainEnding(program, { told, facts, late: false, info })).toEqual(stored);

  const killed = await runKilledAtEachCommit(program, entries);
  expect(endingOf(killed.store)).toEqual(stored);
  expect(killed.store.rows.map(stepsTold)).toEqual(store.rows.map(stepsTold).filter((steps) => steps !== '[]'));
}

/** The commands and events of an entry. Stacks name the place in the engine, which differs. */
function stepsTold({ body }: { body: string }): string {
  const { s } = JSON.parse(body) as { s: unknown };
  return JSON.stringify(s, (key, value: unknown) => (key === 'stack' ? '' : value));
}

describe('a random program', () => {
  it('ends as in plain JavaScript, killed and parked at random, or killed at each commit, and is replayed as it was', {
    timeout: 600_000,
  }, async () => {
    await fc.assert(fc.asyncProperty(programs({ turns: false }), fc.integer(), compare), { numRuns });
  });
});
