/**
 * Random programs, run by the real thread, instance and replay over a store in memory, in virtual time, by one seed.
 *
 * A failing seed is printed with the smallest program that fails: give both to `fc.assert` as `seed` and `path`.
 * SIMULATED_PROGRAMS=100000 runs more of them.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainEnding } from '../../test/support/simulated-oracle.js';
import { codeOf, hasTurns, type Program, programs } from '../../test/support/simulated-program.js';
import {
  endingOf,
  type Faults,
  replayHistory,
  runAtRandom,
  runKilledAtEachCommit,
} from '../../test/support/simulated-run.js';
import { parseSteps } from '../codec/entry-text.js';

const numRuns = Number(process.env.SIMULATED_PROGRAMS ?? 1_000);
const timeout = 120_000 + 60 * numRuns;
const faults: Faults = { kills: 3, takeovers: 1, parks: 3 };

/** All the ways of running a program, held against each other. */
async function compare(program: Program, seed: number): Promise<void> {
  const { store } = await runAtRandom(program, seed, faults);
  const stored = endingOf(store);

  const { ending, entries, facts, info } = await replayHistory(program, store);
  expect(ending).toEqual(stored);

  const told = entries.flat();
  expect(await plainEnding(codeOf(program), { told, facts, late: false, info })).toEqual(stored);

  const killed = await runKilledAtEachCommit(program, entries);
  expect(endingOf(killed.store)).toEqual(stored);
  expect(killed.store.rows.map(stepsTold)).toEqual(store.rows.map(stepsTold).filter((steps) => steps !== '[]'));
}

/** The commands and events of an entry. Stacks name the place in the engine, which differs. */
function stepsTold({ body }: { body: string }): string {
  const s = parseSteps(body);
  return JSON.stringify(s, (key, value: unknown) => (key === 'stack' ? '' : value));
}

/**
 * The same for code that also awaits what is not durable, for so many turns. Its commands come late, so that the order of
 * commands is not the same in all runs, but what the program sees and ends with is.
 */
async function compareLate(program: Program, seed: number): Promise<void> {
  const { store } = await runAtRandom(program, seed, faults);
  const stored = endingOf(store);
  const { ending, entries, facts, times, info } = await replayHistory(program, store);
  expect(ending).toEqual(stored);
  const told = entries.flat();
  expect(await plainEnding(codeOf(program), { told, facts, late: true, info })).toEqual(stored);

  // Attempts behind a failed one make their late calls among events that were delivered before: see Recording.
  if (program.maximumAttempts > 0) return;
  for (const vary of [
    (turns: number) => turns + 1 + (seed & 7),
    (turns: number) => (seed & 1 ? 1 : Math.ceil(turns / 2)),
  ])
    expect((await replayHistory(program, store, { vary })).ending).toEqual(stored);

  // What the store decides is told at once, so it may be told before a late call here and behind it there.
  if (program.cancel || told.some(({ event }) => event.kind === 'decided')) return;
  const killed = await runKilledAtEachCommit(program, entries, { facts: times });
  expect(endingOf(killed.store)).toEqual(stored);
}

/** Begun by code from before its patches, ended by the code with them. */
async function comparePatched(program: Program, seed: number, deployAt: number): Promise<void> {
  const { store, deployedAt } = await runAtRandom(program, seed, { ...faults, deployAt });
  const stored = endingOf(store);
  const { ending, entries, facts, info, patches } = await replayHistory(program, store);
  expect(ending).toEqual(stored);
  expect(await plainEnding(codeOf(program), { told: entries.flat(), facts, late: false, info })).toEqual(stored);
  const expected = patches.map(({ entry }) => ({ entry, newly: deployedAt > 0 && entry >= deployedAt }));
  expect(patches).toEqual(expected);
}

describe('a random program', () => {
  it('ends as in plain JavaScript, killed and parked at random, or killed at each commit, and is replayed as it was', {
    timeout,
  }, async () => {
    await fc.assert(fc.asyncProperty(programs({ turns: false }), fc.integer(), compare), { numRuns });
  });

  it('does so with awaits that are not durable, whatever time they take in a replay', { timeout }, async () => {
    const late = programs({ turns: true }).filter(hasTurns);
    await fc.assert(fc.asyncProperty(late, fc.integer(), compareLate), { numRuns: numRuns / 2 });
  });

  it('keeps to old code where that ran, and takes the patches behind it', { timeout }, async () => {
    const patched = programs({ turns: false })
      .filter(({ body }) => JSON.stringify(body).includes('"patched"'))
      // Each attempt asks anew, and may be told otherwise than the one before it.
      .map((program) => ({ ...program, maximumAttempts: 0 }));
    const deployAt = fc.integer({ min: 1, max: 8 });
    await fc.assert(fc.asyncProperty(patched, fc.integer(), deployAt, comparePatched), { numRuns: numRuns / 2 });
  });
});
