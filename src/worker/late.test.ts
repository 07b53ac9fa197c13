import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainEnding } from '../../test/support/simulated-oracle.js';
import { hasTurns, type Program, programs } from '../../test/support/simulated-program.js';
import {
  endingOf,
  type Faults,
  replayHistory,
  runAtRandom,
  runKilledAtEachCommit,
} from '../../test/support/simulated-run.js';

const RUNS = Number(process.env.SIMULATED_PROGRAMS ?? 1_000);
const faults: Faults = { kills: 3, takeovers: 1, parks: 3 };

const MODE = process.env.LATE ?? '';
async function checkLate(program: Program, seed: number): Promise<void> {
  if (process.env.R1) fc.pre(program.maximumAttempts === 0 || !JSON.stringify(program.body).includes('patched')); // R3
  fc.pre(hasTurns(program));
  const { store } = await runAtRandom(
    program,
    seed,
    MODE.includes('k') ? faults : { kills: 0, takeovers: 0, parks: 3 },
  );
  const stored = endingOf(store);
  const replayed = await replayHistory(program, store);
  expect(replayed.ending).toEqual(stored);
  const { facts, info } = replayed;
  expect(await plainEnding(program, { told: replayed.entries.flat(), facts, late: true, info })).toEqual(stored);
  if (MODE.includes('m') && program.maximumAttempts === 0) {
    const later = await replayHistory(program, store, { vary: (turns) => turns + 1 + (((seed % 3) + 3) % 3) * 4 });
    expect(later.ending).toEqual(stored);
  }
  if (MODE.includes('l') && program.maximumAttempts === 0) {
    const earlier = await replayHistory(program, store, { vary: (turns) => (seed % 2 ? 1 : Math.ceil(turns / 2)) });
    expect(earlier.ending).toEqual(stored);
  }
  if (
    MODE.includes('c') &&
    !program.cancel &&
    program.maximumAttempts === 0 &&
    !replayed.steps.some(({ event }) => event.kind === 'decided')
  ) {
    const killed = await runKilledAtEachCommit(program, replayed.entries, { facts: replayed.times });
    expect(endingOf(killed.store)).toEqual(stored);
  }
}

describe('a random program', () => {
  it('late', { timeout: 600_000 }, async () => {
    const started = performance.now();
    await fc.assert(fc.asyncProperty(programs({ turns: true }), fc.integer(), checkLate), { numRuns: RUNS });
    console.log(`${RUNS} late programs in ${Math.round(performance.now() - started)} ms`);
  });
});
