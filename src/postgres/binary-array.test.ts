import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../core/errors.js';
import { encodeArray } from './binary-array.js';
import type { ArrayParameter } from './database.js';

const nullable = <T>(items: fc.Arbitrary<T>) => fc.array(fc.option(items, { freq: 4 }), { maxLength: 30 });
const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0'));

const parameters: fc.Arbitrary<ArrayParameter> = fc.oneof(
  fc.record({ type: fc.constant('bool' as const), items: nullable(fc.boolean()) }),
  fc.record({ type: fc.constant('int2' as const), items: nullable(fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 })) }),
  fc.record({ type: fc.constant('int4' as const), items: nullable(fc.integer()) }),
  fc.record({ type: fc.constant('int8' as const), items: nullable(fc.maxSafeInteger()) }),
  fc.record({ type: fc.constant('float8' as const), items: nullable(fc.double()) }),
  fc.record({ type: fc.constant('text' as const), items: nullable(text) }),
);

describe('an encoded array', () => {
  it('holds every item, null and order of the array it was made of', () => {
    fc.assert(fc.property(parameters, (parameter) => void expect(decode(encodeArray(parameter))).toEqual(parameter)));
  });

  it('has no dimension when it is empty', () => {
    const encoded = encodeArray({ type: 'text', items: [] });
    expect(encoded).toEqual(Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25]));
  });

  it.each<[ArrayParameter, string]>([
    [{ type: 'text', items: ['fine', 'a\ud800b'] }, 'item 1 of a text[]'],
    [{ type: 'text', items: ['\udc00'] }, 'half of a surrogate pair at position 0'],
    [{ type: 'text', items: ['ab\0'] }, 'a NUL character at position 2'],
    [{ type: 'int4', items: [1.5] }, 'got 1.5'],
    [{ type: 'int4', items: [2 ** 31] }, 'an integer of 32 bits'],
    [{ type: 'int2', items: [-(2 ** 15) - 1] }, 'an integer of 16 bits'],
    [{ type: 'int8', items: [2 ** 53] }, 'an integer within'],
    [{ type: 'int8', items: ['1'] }, 'got string'],
    [{ type: 'bool', items: [1] }, 'must be a boolean'],
    [{ type: 'text', items: [undefined as never] }, 'got undefined'],
  ])('is refused for %j', (parameter, message) => {
    expect(() => encodeArray(parameter)).toThrow(InvalidArgumentError);
    expect(() => encodeArray(parameter)).toThrow(message);
  });
});

const types: Record<number, [ArrayParameter['type'], (bytes: Buffer) => boolean | number | string]> = {
  16: ['bool', (bytes) => bytes.readInt8() === 1],
  21: ['int2', (bytes) => bytes.readInt16BE()],
  23: ['int4', (bytes) => bytes.readInt32BE()],
  20: ['int8', (bytes) => Number(bytes.readBigInt64BE())],
  701: ['float8', (bytes) => bytes.readDoubleBE()],
  25: ['text', (bytes) => bytes.toString('utf8')],
};

/** Written from the server's array_recv, not from the encoder. */
function decode(encoded: Buffer): ArrayParameter {
  const dimensions = encoded.readInt32BE(0);
  const [type, read] = types[encoded.readInt32BE(8)]!;
  if (dimensions === 0) return { type, items: [] };
  expect(dimensions).toBe(1);
  expect(encoded.readInt32BE(16)).toBe(1);
  const items: (boolean | number | string | null)[] = [];
  let offset = 20;
  for (let left = encoded.readInt32BE(12); left > 0; left--) {
    const size = encoded.readInt32BE(offset);
    offset += 4;
    items.push(size < 0 ? null : read(encoded.subarray(offset, offset + size)));
    offset += Math.max(size, 0);
  }
  expect(offset).toBe(encoded.length);
  expect(encoded.readInt32BE(4)).toBe(items.includes(null) ? 1 : 0);
  return { type, items };
}
