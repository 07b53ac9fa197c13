import { expect, it } from 'vitest';
import { hash128 } from './hash128.js';

/** Two bytes of ASCII text in each UTF-16 unit, little endian: what the published test vectors hash. */
function packed(ascii: string): string {
  return ascii.replace(/(.)(.)/gs, (_, low: string, high: string) =>
    String.fromCharCode(low.charCodeAt(0) | (high.charCodeAt(0) << 8)),
  );
}

const hex = (text: string): string =>
  hash128(text)
    .map((word) => word.toString(16).padStart(8, '0'))
    .join('');

it.each([
  ['', '00000000000000000000000000000000'],
  ['01', '0f87acb4674f3b21674f3b21674f3b21'],
  ['I will not buy this record, it is scratched.', 'a0a9683b25ac5e40d9af2895890dddf5'],
])('agrees with the published vector for %j', (text, expected) => {
  expect(hex(packed(text))).toBe(expected);
});

it('depends on every character, the last ones included, and on the length', () => {
  const base = 'x'.repeat(21);
  const variants = Array.from(base, (_, i) => `${base.slice(0, i)}y${base.slice(i + 1)}`);
  const lengths = Array.from({ length: 20 }, (_, i) => '\0'.repeat(i));
  const hashes = [base, ...variants, ...lengths].map(hex);
  expect(new Set(hashes).size).toBe(hashes.length);
});
