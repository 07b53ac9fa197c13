/**
 * Random workflows on several workers over a model of the store, with faults: crashes, lost and doubled answers, late calls,
 * clocks that jump. See docs/simulation.md; `npm run simulate` runs more seeds.
 */

import { expect, it } from 'vitest';
import { simulate } from '../../test/support/simulate.js';

const SEEDS = 250;

it('several workflows on several workers end as in plain JavaScript, whatever happens to them', {
  timeout: 240_000,
}, async () => {
  const { seeds, calls, failure } = await simulate({ seed: 1, count: SEEDS });
  expect(failure, failure === null ? '' : `npm run simulate -- --seed ${failure.seed}\n${failure.error}`).toBeNull();
  expect(seeds).toBe(SEEDS);
  expect(calls).toBeGreaterThan(10 * SEEDS);
});
