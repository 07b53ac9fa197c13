import { describe, expect, it } from 'vitest';
import { maxDurationMs, parseDuration } from './duration.js';
import { InvalidArgumentError } from './errors.js';

describe('parseDuration', () => {
  it.each([
    ['5 seconds', 5_000],
    ['30s', 30_000],
    ['2 minutes', 120_000],
    ['1m', 60_000],
    ['1 hour', 3_600_000],
    ['7d', 604_800_000],
    ['1.5h', 5_400_000],
    ['250', 250],
    ['100y', maxDurationMs],
    [1_500, 1_500],
    [0.5, 0.5],
    [maxDurationMs, maxDurationMs],
  ])('reads %o as %d ms', (value, ms) => {
    expect(parseDuration('sleep', value)).toBe(ms);
  });

  it.each([0, -0, -5, '0', '-3 days', '-0s', Number.MIN_SAFE_INTEGER])('takes %o for 0', (value) => {
    expect(parseDuration('sleep', value)).toBe(0);
  });

  it.each([
    ['5 parsecs', '"5 parsecs"'],
    ['', '""'],
    [' ', '" "'],
    ['1h 30m', '"1h 30m"'],
    ['NaN', '"NaN"'],
    [`${'9'.repeat(400)}s`, `"${'9'.repeat(80)}"... (401 characters)`],
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [Number.NEGATIVE_INFINITY, '-Infinity'],
    [maxDurationMs + 1, '3155760000001'],
    ['101 years', '"101 years"'],
    [undefined, 'undefined'],
    [null, 'null'],
    [{ seconds: 5 }, 'an object'],
    [new Date(0), 'a Date'],
    [5n, 'a BigInt'],
  ])('refuses %o with call, value and examples', (value, shown) => {
    const attempt = (): number => parseDuration('sleep', value as string);
    expect(attempt).toThrow(InvalidArgumentError);
    expect(attempt).toThrow(
      `sleep: duration must be a duration of at most 100 years; got ${shown}. ` +
        "Use a number of milliseconds or text such as '500ms', '30s', '5 minutes', '2 hours', '7d'",
    );
  });

  it('names the option that holds it', () => {
    expect(() => parseDuration('condition', 'soon', 'timeout')).toThrow(/^condition: timeout must be/);
  });
});
