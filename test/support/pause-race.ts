/**
 * Two calls against each other. One is stopped at each of its points in turn, the other is run until it has ended or
 * waits, then the first is released. Whatever comes of it must be what one of the two serial orders gives: the same
 * answers, the same rows. Never a deadlock, never a violation of an invariant.
 *
 * A call is repeated on 40001 and 55P03, as the engine repeats it.
 */

import { isDeepStrictEqual } from 'node:util';
import { type Outcome, outcomeOf, type Parked, type PausableDatabase, untilAnswered } from './pause.js';
import { empty, violations } from './protocol.js';
import type { Session } from './protocol-session.js';
import { type State, stateOf } from './protocol-state.js';

export interface Race<Cast = unknown> {
  readonly name: string;
  /**
   * Before the calls. Numbers that the calls are recognised by must be drawn here: they have to be the same whoever
   * comes first.
   */
  arrange(control: Session): Promise<Cast>;
  one(session: Session, cast: Cast, control: Session): Promise<unknown>;
  other(session: Session, cast: Cast, control: Session): Promise<unknown>;
  /** What follows anyway, e.g. the next look of the reaper. What it answers is compared too. */
  settle?(control: Session, cast: Cast): Promise<unknown>;
  /** Stops both: the other at each point it comes to while the first is stopped. */
  readonly stopsBoth?: boolean;
}

interface End {
  readonly one: Outcome;
  readonly other: Outcome;
  readonly settled: unknown;
  readonly state: State;
}

export interface Fault {
  /** Who was stopped where. */
  readonly at: string;
  readonly what: string;
  readonly end: End;
}

export interface Report {
  readonly interleavings: number;
  readonly faults: readonly Fault[];
  /** What the two serial orders give. */
  readonly serial: readonly [End, End];
}

type Side = 'one' | 'other';

/** The two sessions are used by one race at a time. */
export async function runRace<Cast>(
  database: PausableDatabase,
  sessions: Readonly<Record<Side, Session>>,
  race: Race<Cast>,
): Promise<Report> {
  const { control } = database;
  const faults: Fault[] = [];
  let interleavings = 0;
  let cast: Cast;

  const call = (side: Side) => untilAnswered(() => race[side](sessions[side], cast, control));

  async function arrange(): Promise<void> {
    await empty(control);
    cast = await race.arrange(control);
  }

  async function ended(one: Outcome, other: Outcome, at: string): Promise<End> {
    const settled = await race.settle?.(control, cast);
    const end = { one, other, settled, state: await stateOf(control) };
    const broken = await violations(control);
    if (broken.length > 0) faults.push({ at, what: broken.join('; '), end });
    const failed = [one, other].flatMap((outcome) => ('error' in outcome ? [outcome.error] : []));
    if (failed.includes('40P01')) faults.push({ at, what: 'deadlock', end });
    return end;
  }

  async function serially(first: Side, second: Side) {
    await arrange();
    const { points, outcome } = await database.pointsOf(sessions[first], () => call(first));
    const outcomes = { [first]: outcome, [second]: await outcomeOf(call(second)) } as Record<Side, Outcome>;
    return { points, end: await ended(outcomes.one, outcomes.other, `${first}, then ${second}`) };
  }

  const [oneFirst, otherFirst] = [await serially('one', 'other'), await serially('other', 'one')];
  const serial = [oneFirst.end, otherFirst.end] as const;

  async function interleave(stopped: Side, point: string, running: Side, secondPoint: string | null): Promise<void> {
    await arrange();
    const first = await database.park(sessions[stopped], point, () => call(stopped));
    let second: Parked | null = null;
    let outcome: Promise<Outcome>;
    if (secondPoint === null) {
      outcome = outcomeOf(call(running));
      await database.untilStopped(sessions[running], outcome);
    } else {
      second = await database.park(sessions[running], secondPoint, () => call(running));
      outcome = Promise.resolve({ error: 'never released' });
    }
    const released = first.release();
    if (second !== null) {
      await database.untilStopped(sessions[stopped], released);
      outcome = second.release();
    }
    const outcomes = { [stopped]: await released, [running]: await outcome } as Record<Side, Outcome>;
    const at = `${stopped} at ${point}${secondPoint === null ? '' : `, ${running} at ${secondPoint}`}`;
    const end = await ended(outcomes.one, outcomes.other, at);
    if (first.reached) interleavings += 1;
    if (!serial.some((expected) => isDeepStrictEqual(end, expected)))
      faults.push({ at, what: 'no serial order ends so', end });
  }

  const points = { one: oneFirst.points, other: otherFirst.points };
  for (const [stopped, running] of [
    ['one', 'other'],
    ['other', 'one'],
  ] as const) {
    for (const point of points[stopped]) {
      await interleave(stopped, point, running, null);
      if (race.stopsBoth !== true) continue;
      // Before its commit the second is where the first would find it anyway.
      for (const secondPoint of points[running].filter((name) => name !== 'end'))
        await interleave(stopped, point, running, secondPoint);
    }
  }
  return { interleavings, faults, serial };
}

/** For a message: where the ends differ from the nearer of the two serial ones. */
export function explain({ faults, serial }: Report): string {
  return faults
    .map(({ at, what, end }) => {
      const differences = serial.map((expected) => differingParts(end, expected));
      const [nearest] = differences.sort((one, other) => one.length - other.length);
      return `${at}: ${what}\n${nearest?.join('\n') ?? ''}`;
    })
    .join('\n\n');
}

function differingParts(end: End, expected: End): string[] {
  const parts: [string, unknown, unknown][] = [
    ['one', end.one, expected.one],
    ['other', end.other, expected.other],
    ['settled', end.settled, expected.settled],
    ...Object.keys(end.state).map((name): [string, unknown, unknown] => [name, end.state[name], expected.state[name]]),
  ];
  return parts
    .filter(([, actual, wanted]) => !isDeepStrictEqual(actual, wanted))
    .map(([name, actual, wanted]) => `  ${name}: ${JSON.stringify(actual)}\n    serially ${JSON.stringify(wanted)}`);
}
