/** Seeds of the simulation of many workflows, one after the other: see docs/simulation.md. */

import fc from 'fast-check';
import { checkFleet } from './fleet-checks.js';
import { type Happened, runFleet } from './simulated-fleet.js';
import { fleets, type Root } from './simulated-program.js';

export interface SimulateOptions {
  /** The first seed. */
  readonly seed: number;
  /** How many seeds. */
  readonly count: number;
  /** Ends earlier when this is over, in ms. Default: never. */
  readonly withinMs?: number;
  /** How long a failing seed is made smaller, in ms. Default 60,000. */
  readonly shrinkMs?: number;
}

export interface Simulated {
  readonly seeds: number;
  readonly calls: number;
  readonly happened: Happened;
  /** Null: all went well. */
  readonly failure: Failure | null;
}

export interface Failure {
  readonly seed: number;
  readonly error: string;
  /** The smallest workflows that fail. */
  readonly roots: readonly Root[];
  /** What happened, in order. */
  readonly schedule: readonly string[];
}

export async function simulate({
  seed,
  count,
  withinMs = Infinity,
  shrinkMs = 60_000,
}: SimulateOptions): Promise<Simulated> {
  const began = performance.now();
  const happened: Happened = {};
  let [seeds, calls] = [0, 0];
  for (; seeds < count && performance.now() - began < withinMs; seeds++) {
    const run = async (roots: readonly Root[], schedule: number) => {
      const finished = await runFleet(roots, schedule);
      await checkFleet(finished.store);
      calls += finished.store.called;
      for (const [what, times] of Object.entries(finished.happened)) happened[what] = (happened[what] ?? 0) + times;
    };
    const property = fc.asyncProperty(fleets(), fc.integer(), run);
    const limits = { numRuns: 1, interruptAfterTimeLimit: shrinkMs, markInterruptAsFailure: false };
    const details = await fc.check(property, { seed: seed + seeds, ...limits });
    if (details.counterexample === null) continue;
    const [roots, schedule] = details.counterexample as [readonly Root[], number];
    const failure = { seed: seed + seeds, roots, ...(await told(roots, schedule)) };
    return { seeds: seeds + 1, calls, happened, failure };
  }
  return { seeds, calls, happened, failure: null };
}

async function told(roots: readonly Root[], seed: number): Promise<Pick<Failure, 'error' | 'schedule'>> {
  const schedule: string[] = [];
  try {
    const { store } = await runFleet(roots, seed, { onStep: (what) => schedule.push(what) });
    await checkFleet(store);
    return { error: 'it went well when it was repeated: something is not decided by the seed', schedule };
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error), schedule };
  }
}
