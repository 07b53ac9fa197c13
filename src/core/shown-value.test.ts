import { describe, expect, it } from 'vitest';
import { shownKind, shownValue } from './shown-value.js';

describe('a value in a message', () => {
  it.each([
    ['inv-77', '"inv-77"'],
    ['a "b"\n\0\\', '"a \\"b\\"\\n\\u0000\\\\"'],
    ['\u202egnp.exe\u200b\x7f', '"\\u{202e}gnp.exe\\u{200b}\\u{7f}"'],
    ['\ud800', '"\\ud800"'],
    ['', '""'],
    [-1.5, '-1.5'],
    [Number.NaN, 'NaN'],
    [true, 'true'],
    [undefined, 'undefined'],
    [null, 'null'],
    [10n, 'a BigInt'],
    [Symbol('s'), 'a symbol'],
    [() => 1, 'a function'],
    [['secret'], 'an array'],
    [{ secret: 1 }, 'an object'],
    [new Map([['secret', 1]]), 'a Map'],
    [new Set(), 'a Set'],
    [new Date(0), 'a Date'],
    [Promise.resolve(), 'a promise'],
    [/x/, 'a RegExp'],
    [Proxy.revocable({}, {}).proxy, 'an object'],
  ])('%o is shown as %s', (value, shown) => {
    expect(shownValue(value)).toBe(shown);
  });

  it('is cut at 80 characters', () => {
    expect(shownValue('x'.repeat(80))).toBe(`"${'x'.repeat(80)}"`);
    expect(shownValue('x'.repeat(10_000))).toBe(`"${'x'.repeat(80)}"... (10000 characters)`);
  });

  it('that is secret is shown only by its kind', () => {
    expect(['hunter2', '', 42, true, null, {}].map(shownKind)).toEqual([
      'text',
      'empty text',
      'a number',
      'a boolean',
      'null',
      'an object',
    ]);
  });
});
