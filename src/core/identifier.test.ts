import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from './errors.js';
import {
  checkDocumentKey,
  checkIdentifier,
  checkSignalId,
  checkTaskQueue,
  checkWorkflowId,
  checkWorkflowName,
  guid,
  isIdentifier,
  newWorkflowId,
  uuid,
} from './identifier.js';

describe('checkIdentifier', () => {
  it.each([
    'a',
    ' ',
    'inv-77',
    '%_/$,{}',
    '\u202e',
    '😀',
    'é',
    'ẛ̣',
    '日本',
    'x'.repeat(512),
    'é'.repeat(256),
    '😀'.repeat(128),
  ])('lets %j through unchanged', (value) => {
    expect(checkIdentifier('start', 'workflowId', value)).toBe(value);
  });

  it.each([
    undefined,
    null,
    7,
    {},
    ['a'],
    Object('a'),
    '',
    'a\0b',
    'a\nb',
    '\u001b[2J',
    '\u0085',
    '\u007f',
    'e\u0301',
    '\u212b',
    '\ud800',
    'a\udfff',
    '\udc00\ud800',
    'x'.repeat(513),
    'é'.repeat(257),
    '😀'.repeat(129),
    'x'.repeat(10_000_000),
  ])('refuses %j', (value) => {
    const attempt = (): string => checkIdentifier('start', 'workflowId', value);
    expect(attempt).toThrow(InvalidArgumentError);
    expect(attempt).toThrow(
      /^start: workflowId must be text of 1 to 512 bytes in Unicode normal form C without control characters and lone surrogates; got .{1,1000}$/,
    );
  });

  it('lets through exactly the normal, well-formed texts of 1 to 512 bytes without control characters', () => {
    const parts = fc.constantFrom(
      'a',
      '\0',
      '\n',
      'é',
      'e',
      '\u0301',
      '\u0323',
      '€',
      '\ud83d',
      '\ude00',
      '😀',
      '\u212b',
    );
    fc.assert(
      fc.property(
        fc.array(parts, { maxLength: 200 }).map((list) => list.join('')),
        (value) => {
          const bytes = new TextEncoder().encode(value);
          const wellFormed = new TextDecoder().decode(bytes) === value;
          const fits = bytes.length >= 1 && bytes.length <= 512;
          expect(isIdentifier(value)).toBe(wellFormed && value.normalize() === value && !/[\0\n]/.test(value) && fits);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('lets no two through that are the same text to Unicode', () => {
    const parts = fc.constantFrom('e', '\u0301', 'é', '\u0323', 'ẹ', '\u212b', 'Å');
    fc.assert(
      fc.property(fc.array(parts, { minLength: 1, maxLength: 5 }), fc.array(fc.boolean()), (list, flags) => {
        const half = list.map((part, n) => part.normalize(flags[n] ? 'NFC' : 'NFD')).join('');
        const spellings = new Set([list.join(''), half, half.normalize('NFD'), half.normalize('NFC')]);
        expect([...spellings].filter(isIdentifier)).toEqual([half.normalize('NFC')]);
      }),
    );
  });

  it('says what to do about a value that looks as it should', () => {
    expect(() => checkIdentifier('start', 'workflowId', 'cafe\u0301')).toThrow(/pass it through normalize\('NFC'\)$/);
    expect(() => checkIdentifier('start', 'workflowId', 'é'.repeat(300))).toThrow(/Shorten it, or take a hash of it$/);
    expect(() => checkIdentifier('start', 'workflowId', 'a\nb')).toThrow(/got "a\\nb"$/);
  });

  it.each([
    [checkWorkflowId, 'workflowId'],
    [checkWorkflowName, 'workflowName'],
    [checkTaskQueue, 'taskQueue'],
    [checkSignalId, 'signalId'],
  ])('has a form that names its field: %o', (check, field) => {
    expect(check('signal', 'a')).toBe('a');
    expect(() => check('signal', '')).toThrow(`signal: ${field} must be text`);
  });
});

describe('checkDocumentKey', () => {
  it('takes keys as data: whatever jsonb can hold', () => {
    for (const key of ['a', 'e\u0301', 'a\nb', '__proto__']) expect(checkDocumentKey('find', 'field', key)).toBe(key);
    for (const key of ['', 'a\0', '\ud800', 'x'.repeat(513), 7])
      expect(() => checkDocumentKey('find', 'field', key)).toThrow(InvalidArgumentError);
  });
});

describe('made ids', () => {
  it('are a guid of 22 characters behind an H, in the alphabet of nanoid', () => {
    expect(guid()).toMatch(/^H[\w-]{22}$/);
    expect(newWorkflowId()).toMatch(/^H[\w-]{22}$/);
    expect(uuid()).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  });

  it('have the size that is asked for, up to 32', () => {
    expect([1, 10, 32, 33, 1_000].map((size) => guid(size).length)).toEqual([2, 11, 33, 33, 33]);
    for (const size of [0, -1, 1.5, Number.NaN])
      expect(() => guid(size)).toThrow(/^guid: size must be a whole number from 1; got/);
  });

  it('differ from one another', () => {
    expect(new Set(Array.from({ length: 10_000 }, () => guid())).size).toBe(10_000);
    expect(new Set(Array.from({ length: 10_000 }, () => uuid())).size).toBe(10_000);
  });
});
