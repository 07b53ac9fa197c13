/** Values that nobody means well with, for fast-check. */

import fc from 'fast-check';

// biome-ignore format: a list
const TEXTS = [
  '', ' ', '\0', '\ud800', '\udfff', 'a\nb', 'e\u0301', '\u202e', '😀',
  '-1', '0', '1e999', 'NaN', 'infinity', 'null', 'true', '[]', '{}', '{1,2', '{NULL}',
  '"', "'", '\\', '$$', '%', '_', '="="', '""', '"_x"', '../..', '%00', 'ctid',
  "x'; drop schema durable cascade; --", 'x"; drop schema durable cascade; --',
  '__proto__', 'constructor', 'toString', 'then', '{"perdure:sealed":"x"}', '{"perdure:plain":1}',
  '2024-01-01', '1 day', '-1 s', '100y', '5 seconds', '$eq',
];

/** Text of every shape that something in between may give a meaning to. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...TEXTS) },
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ maxLength: 10 }),
  fc.constantFrom(
    'x'.repeat(513),
    'é'.repeat(257),
    'x'.repeat(3_000),
    '['.repeat(600),
    `${'['.repeat(600)}${']'.repeat(600)}`,
    ' '.repeat(5_000),
  ),
);

// biome-ignore format: a list
const NUMBERS = [
  0, -0, -1, 1, 2, 3, 0.5, 1e21, -1e21, 2 ** 31 - 1, 2 ** 31, 2 ** 53 - 1, 2 ** 53,
  Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 5e-324,
];

export const hostileNumber: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(...NUMBERS),
  fc.integer({ min: -5, max: 50 }),
  fc.double(),
);

const FARTHEST = {
  32: ['-1', '2147483647', '-2147483648', '1000000'],
  64: ['-1', '9223372036854775807', '-9223372036854775808', '281474976710656'],
} as const;

/** Integers as Postgres has them, as text. `known` are numbers that stand for something. */
export function hostileInteger(bits: 32 | 64, known: readonly number[]): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 12 }).map(String) },
    ...(known.length === 0 ? [] : [{ weight: 3, arbitrary: fc.constantFrom(...known.map(String)) }]),
    fc.constantFrom<string>(...FARTHEST[bits]),
  );
}

const ODD: readonly unknown[] = [
  1n,
  Symbol('s'),
  () => 1,
  async () => 1,
  new Date(Number.NaN),
  new Date(0),
  /x/,
  new Map([[1, 2]]),
  new Set([1]),
  Promise.resolve(1),
  cyclic(),
  throwing(),
  Object.create(null),
  tower(600),
  tower(5),
];

/** Anything at all, with the names in it that a call might look for. */
export function hostileValue(names: readonly string[]): fc.Arbitrary<unknown> {
  return fc.letrec((tie) => ({
    leaf: fc.oneof(
      { weight: 4, arbitrary: hostileText },
      { weight: 3, arbitrary: hostileNumber },
      fc.constantFrom(true, false, null, undefined),
      fc.constantFrom(...ODD),
    ),
    object: fc.dictionary(fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...names) }, hostileText), tie('value'), {
      maxKeys: 4,
    }),
    array: fc.array(tie('value'), { maxLength: 3 }),
    value: fc.oneof(
      { maxDepth: 3, depthIdentifier: 'hostile' },
      { weight: 4, arbitrary: tie('leaf') },
      { weight: 2, arbitrary: tie('object') },
      tie('array'),
    ),
  })).value;
}

function cyclic(): unknown {
  const circle: unknown[] = [];
  circle.push({ circle });
  return circle;
}

function throwing(): unknown {
  return new Proxy(
    {},
    {
      get: (_, key) => {
        // What describes a value in a failed test reads these.
        if (typeof key === 'symbol' || key === 'constructor') return undefined;
        throw new Error('a trap');
      },
    },
  );
}

function tower(levels: number): unknown {
  let top: unknown = 1;
  for (let n = 0; n < levels; n++) top = [top];
  return top;
}
