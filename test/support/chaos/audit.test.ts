import { describe, expect, it } from 'vitest';
import { duplicatesOf, type Effect } from './audit.js';
import { percentile, tableOf } from './report.js';

const ran = (at: number, pid: number, nonce: string, attempt = 1): Effect => ({
  key: 'k',
  tag: 't',
  saw: null,
  at,
  pid,
  nonce,
  attempt,
});

describe('effects are', () => {
  it.each<[string, Effect[], [string, number][], [number, number[]][], string[]]>([
    ['fine when each ran once', [ran(1, 7, 'a')], [['a', 5]], [], []],
    ['fine when a retry followed a failed attempt', [ran(1, 7, 'a'), ran(9, 7, 'b', 2)], [['b', 12]], [], []],
    [
      'fine when the process died over them, and both results are old news',
      [ran(1, 7, 'a'), ran(30, 8, 'b')],
      [['b', 40]],
      [[7, [20]]],
      [],
    ],
    [
      'duplicates when they began behind the record',
      [ran(1, 7, 'a'), ran(30, 8, 'b')],
      [['a', 5]],
      [[7, [20]]],
      ['t (k) ran 25 ms after its result was recorded'],
    ],
    [
      'duplicates when nobody had died',
      [ran(1, 7, 'a'), ran(30, 8, 'b')],
      [['b', 40]],
      [[7, [90]]],
      ['t (k) ran at 1 in 7, whose deaths are [90], and again 29 ms later in 8'],
    ],
  ])('%s', (_what, effects, recorded, deaths, expected) => {
    expect(duplicatesOf(effects, new Map(recorded), new Map(deaths))).toEqual(expected);
  });
});

it('the table counts what was found', () => {
  const table = tableOf(42, {
    ...{
      done: 3,
      effects: 9,
      repeats: 1,
      gaveUp: 0,
      paused: 4,
      seconds: 61,
      wrong: [],
      surprises: [],
      violations: ['I1: x'],
    },
    ...{ duplicates: ['one', 'two'], lost: ['c0-1'], stuck: [] },
    injected: new Map([['kill', 2]]),
    missing: ['pooler: 0 of 1'],
    recoveries: [1_000, 2_000, 9_000].map((ms) => ({ fault: 'burst', ms })),
    amid: [{ fault: 'kill', ms: 12_000 }],
  });
  for (const line of [
    /seed +42/,
    /2 \(kill 2\)/,
    /pooler: 0 of 1/,
    /duplicates +2/,
    /lost +1/,
    /stuck +0/,
    /violations +1/,
    /recovery +p50 2.0 s, p99 9.0 s of 3/,
    /p50 12.0 s, p99 12.0 s of 1/,
  ])
    expect(table).toMatch(line);
  expect(percentile([], 0.5)).toBe(0);
});
