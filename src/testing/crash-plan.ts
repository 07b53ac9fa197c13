/** Which calls of a run end how. A plan follows from its seed alone, so that a failing one can be run again. */

import { seededRandom } from '../core/random.js';

/** Calls between a process and the database that faults can meet, in the words of plans. */
export type FaultyCall =
  | 'start'
  | 'signal'
  | 'claim'
  | 'commit'
  | 'park'
  | 'activity queueing'
  | 'activity claim'
  | 'activity result'
  | 'history reading';

/** What becomes of a call. `before`, `after`: the worker's process dies there. `twice`: it arrives a second time, its answer was lost. */
export type Fate = 'before' | 'after' | 'twice';

/** A call and its fate. */
export interface Fault {
  readonly call: FaultyCall;
  /** From 1, among the calls of its name in the run; of claims and readings those that found something. */
  readonly number: number;
  readonly fate: Fate;
}

/** How often each was called in a run. */
export type CallCounts = Readonly<Partial<Record<FaultyCall, number>>>;

export interface CrashPlan {
  readonly seed: number;
  readonly faults: readonly Fault[];
  /** Nothing stays in memory while it waits: each event is replayed to. */
  readonly forgets: boolean;
  /** Signals that come at one time come in another order. */
  readonly shuffle: number;
}

/** In the run without faults. */
export const NO_FAULT: CrashPlan = { seed: -1, faults: [], forgets: false, shuffle: 0 };

const FATES: readonly Fate[] = ['before', 'after', 'twice'];

/** A claim that never arrived took nothing, so nothing is lost with it: only what was taken counts. */
const TAKES: ReadonlySet<FaultyCall> = new Set(['claim', 'activity claim', 'history reading']);

/** Gone through one by one, in this order: the numbers of those in front do not depend on how quickly a worker looks for work. */
const ONE_BY_ONE: readonly FaultyCall[] = [
  'start',
  'signal',
  'activity result',
  'activity queueing',
  'activity claim',
  'claim',
];
/** They come when a worker finds time for them, not in each run alike. */
const AT_RANDOM: readonly FaultyCall[] = [...ONE_BY_ONE, 'park', 'history reading'];

/**
 * @param seed From 0. The first ones go through all commits: a crash before each and behind each, one at a time; then, alike,
 *   through starts, signals, results of activities and claims, each of which also arrives twice. Those behind them put several
 *   faults together, at random.
 * @param calls Of the run without faults.
 */
export function crashPlan(seed: number, calls: CallCounts): CrashPlan {
  const { commit: commits = 0 } = calls;
  if (seed < 2 * commits) {
    const fate: Fate = seed % 2 === 0 ? 'before' : 'after';
    return { ...NO_FAULT, seed, faults: [{ call: 'commit', number: Math.floor(seed / 2) + 1, fate }] };
  }
  const single = otherFaults(calls)[seed - 2 * commits];
  if (single !== undefined) return { ...NO_FAULT, seed, faults: [single] };

  let position = 0;
  const draw = (below: number) => Math.floor(seededRandom(`crash plan ${seed}`, position++) * below);
  const faults = new Map<string, Fault>();
  for (let left = 1 + draw(3); left > 0; left--) {
    const call: FaultyCall = draw(2) === 0 ? 'commit' : (AT_RANDOM[draw(AT_RANDOM.length)] as FaultyCall);
    // Crashes add calls: what lies behind the last one of the faultless run is hit too.
    const number = 1 + draw((calls[call] ?? 0) + 2);
    const fates = fatesOf(call);
    faults.set(`${call} ${number}`, { call, number, fate: fates[draw(fates.length)] as Fate });
  }
  return { seed, faults: [...faults.values()], forgets: draw(2) === 0, shuffle: draw(2 ** 31) };
}

function otherFaults(calls: CallCounts): Fault[] {
  return ONE_BY_ONE.flatMap((call) =>
    Array.from({ length: calls[call] ?? 0 }, (_, index) =>
      fatesOf(call).map((fate) => ({ call, number: index + 1, fate })),
    ).flat(),
  );
}

function fatesOf(call: FaultyCall): readonly Fate[] {
  return TAKES.has(call) ? FATES.slice(1) : FATES;
}

/** Plans with a part of its faults, the smallest first: one of them may fail alike, and is easier to follow. */
export function simplerPlans(plan: CrashPlan): CrashPlan[] {
  if (plan.faults.length === 0) return [];
  const single = plan.faults.map((fault) => ({ ...plan, faults: [fault] }));
  return [{ ...plan, faults: [] }, ...(single.length > 1 ? single : [])];
}

/** In words: `crash after commit 3, signal 1 twice, nothing kept in memory`. */
export function planText({ faults, forgets }: CrashPlan): string {
  const words = [...faults]
    .sort((one, other) => one.number - other.number)
    .map(({ call, number, fate }) =>
      fate === 'twice' ? `${call} ${number} twice` : `crash ${fate} ${call} ${number}`,
    );
  return [...words, ...(forgets ? ['nothing kept in memory'] : [])].join(', ') || 'no fault';
}
