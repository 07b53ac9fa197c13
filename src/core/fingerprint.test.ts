import { expect, it } from 'vitest';
import { fingerprint } from './fingerprint.js';

it.each([
  ['', 0x811c9dc5],
  ['a', 0xe40c292c],
  ['foobar', 0xbf9cf968],
])('is FNV-1a of %j, as a signed integer', (text, unsigned) => {
  expect(fingerprint(text)).toBe(unsigned | 0);
});

it('tells apart what differs in one character anywhere, also beyond ASCII', () => {
  const texts = [
    '',
    '[]',
    '["a"]',
    '["b"]',
    '["a",1]',
    '["é"]',
    '["😀"]',
    '["😁"]',
    '[1]',
    '[11]',
    '["\u0100"]',
    '["\u0200"]',
  ];
  const prints = texts.map(fingerprint);
  expect(new Set(prints).size).toBe(texts.length);
  for (const print of prints) expect(print).toBe(print | 0);
});
