/** Which commits of a run end how. A plan follows from its seed alone, so that a failing one can be run again. */

import { seededRandom } from '../core/random.js';
import type { Fate } from './mortal-process.js';

export interface CrashPlan {
  readonly seed: number;
  /** Fates by the number of the commit, from 1. */
  readonly fates: ReadonlyMap<number, Fate>;
  /** Nothing stays in memory while it waits: each event is replayed to. */
  readonly forgets: boolean;
  /** Signals that come at one time come in another order. */
  readonly shuffle: number;
}

const FATES: readonly Fate[] = ['before', 'after', 'twice'];

/**
 * @param seed From 0. The first ones go through all commits: a crash before each and behind each, one at a time. Those behind them
 *   put several fates together, at random.
 * @param commits How many the run without faults made.
 */
export function crashPlan(seed: number, commits: number): CrashPlan {
  if (seed < 2 * commits) {
    const fate: Fate = seed % 2 === 0 ? 'before' : 'after';
    return { seed, fates: new Map([[Math.floor(seed / 2) + 1, fate]]), forgets: false, shuffle: 0 };
  }
  let position = 0;
  const draw = (below: number) => Math.floor(seededRandom(`crash plan ${seed}`, position++) * below);
  const fates = new Map<number, Fate>();
  // Crashes add commits: what lies behind the last one of the faultless run is hit too.
  for (let faults = 1 + draw(3); faults > 0; faults--) fates.set(1 + draw(commits + 2), FATES[draw(3)] as Fate);
  return { seed, fates, forgets: draw(2) === 0, shuffle: draw(2 ** 31) };
}

/** Plans with a part of its faults, the smallest first: one of them may fail alike, and is easier to follow. */
export function simplerPlans(plan: CrashPlan): CrashPlan[] {
  const single = [...plan.fates].map(([commit, fate]) => ({ ...plan, fates: new Map([[commit, fate]]) }));
  const none = { ...plan, fates: new Map<number, Fate>() };
  return [none, ...single].filter(({ fates }) => fates.size < plan.fates.size);
}

/** In words: `crash after commit 3, commit 5 twice, nothing kept in memory`. */
export function planText({ fates, forgets }: CrashPlan): string {
  const faults = [...fates]
    .sort(([one], [other]) => one - other)
    .map(([commit, fate]) => (fate === 'twice' ? `commit ${commit} twice` : `crash ${fate} commit ${commit}`));
  return [...faults, ...(forgets ? ['nothing kept in memory'] : [])].join(', ') || 'no fault';
}
