import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from './errors.js';
import {
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
  it.each(['a', ' ', 'inv-77', '%_/$,{}', '\u202e', '😀', 'x'.repeat(512), 'é'.repeat(256), '😀'.repeat(128)])(
    'lets %j through unchanged',
    (value) => {
      expect(checkIdentifier('start', 'workflowId', value)).toBe(value);
    },
  );

  it.each([
    undefined,
    null,
    7,
    {},
    ['a'],
    Object('a'),
    '',
    'a\0b',
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
      /^start: workflowId must be text of 1 to 512 bytes without NUL characters and lone surrogates; got .{1,1000}$/,
    );
  });

  it('lets through exactly the well-formed texts of 1 to 512 bytes without NUL', () => {
    const units = fc.array(fc.constantFrom('a', '\0', 'é', '€', '\ud83d', '\ude00', '😀'), { maxLength: 200 });
    fc.assert(
      fc.property(
        units.map((list) => list.join('')),
        (value) => {
          const bytes = new TextEncoder().encode(value);
          const wellFormed = new TextDecoder().decode(bytes) === value;
          expect(isIdentifier(value)).toBe(
            wellFormed && !value.includes('\0') && bytes.length >= 1 && bytes.length <= 512,
          );
        },
      ),
      { numRuns: 500 },
    );
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
