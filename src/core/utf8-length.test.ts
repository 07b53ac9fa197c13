import fc from 'fast-check';
import { expect, it } from 'vitest';
import { utf8Length } from './utf8-length.js';

it('counts the bytes that the text has in UTF-8, whatever it consists of', () => {
  const units = fc.array(fc.integer({ min: 0, max: 0xffff })).map((codes) => String.fromCharCode(...codes));
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'binary' }), units, fc.constantFrom('', 'aé€😀', '\ud83d', '😀\ud83d')),
      (text) => {
        expect(utf8Length(text)).toBe(new TextEncoder().encode(text).length);
      },
    ),
  );
});
