/** Literals of SQL that nobody means well with, by type, for fast-check. */

import fc from 'fast-check';
import pg from 'pg';
import { hostileInteger, hostileText } from './hostile-values.js';

export interface Known {
  /** That may be compared with. */
  readonly words: readonly string[];
  /** That stand for something. */
  readonly known: readonly number[];
  /** Of arrays: those of one call are often of one length. */
  readonly lengths: fc.Arbitrary<number>;
}

/** A literal of the type, or null. */
export function hostileLiteral(type: string, given: Known): fc.Arbitrary<string> {
  const { words, known, lengths } = given;
  if (type.endsWith('[]')) {
    const item = hostileLiteral(type.slice(0, -2), given);
    const items = lengths.chain((n) => fc.array(item, { minLength: n, maxLength: n }));
    return fc.oneof(
      { weight: 9, arbitrary: items.map((list) => `array[${list.join(', ')}]::${type}`) },
      fc.constant('null'),
    );
  }
  const text = fc
    .oneof(hostileText, { weight: 2, arbitrary: fc.constantFrom(...words) }, json(words))
    .map((value) => value.toWellFormed().replaceAll('\0', ''));
  const quoted = (value: string) => pg.escapeLiteral(value);
  const plain: Record<string, fc.Arbitrary<string>> = {
    integer: hostileInteger(
      32,
      known.filter((n) => n < 2 ** 31),
    ).map(quoted),
    bigint: hostileInteger(64, known).map(quoted),
    boolean: fc.constantFrom('true', 'false'),
    'double precision': fc.constantFrom(
      ...["'NaN'", "'Infinity'", "'-Infinity'", '0', '-1', '1e308', '0.001', '60000'],
    ),
    numeric: fc.constantFrom("'NaN'", '0', '1e100', '-1', "'Infinity'"),
    interval: fc.constantFrom("'1 s'", "'-1 s'", "'178000000 years'", "'0'", "'1 mon'"),
    'timestamp with time zone': fc.constantFrom("'infinity'", "'-infinity'", "'2024-01-01'", "'294276-01-01'"),
    json: json(words).map(quoted),
    jsonb: json(words).map((value) => quoted(value.replaceAll('\\u0000', ''))),
  };
  const value = (plain[type] ?? text.map(quoted)).map((literal) =>
    literal === 'null' ? literal : `${literal}::${type}`,
  );
  return fc.oneof({ weight: 9, arbitrary: value }, fc.constant('null'));
}

/** JSON text that holds what the function looks for. */
function json(words: readonly string[]): fc.Arbitrary<string> {
  const key = fc.constantFrom('a', 'n', 'field', 'op', 'value', ...words);
  const { value } = fc.letrec((tie) => ({
    leaf: fc.oneof(
      fc.constantFrom<unknown>(null, true, 0, -1, 1e300, 2 ** 40, 0.5),
      hostileText.map((t) => t.toWellFormed().replaceAll('\0', '')),
      key,
    ),
    value: fc.oneof(
      { maxDepth: 3 },
      tie('leaf'),
      fc.dictionary(key, tie('value'), { maxKeys: 5 }),
      fc.array(tie('value'), { maxLength: 3 }),
    ),
  }));
  return value.map((made) => JSON.stringify(made) ?? 'null');
}
