/**
 * Array parameters in Postgres' binary format.
 *
 * `pg` sends a Buffer as a binary parameter. Against array literals this takes 30 % (short items) to 75 % (2 KB JSON, which
 * a literal has to escape) off the client's CPU per call, and 25 % to 3 x more rows go over one connection.
 *
 * Layout: dimensions (0 or 1), has-nulls flag, element oid, then for one dimension its length and lower bound, then each
 * item as byte length (-1: null) and bytes. All numbers big-endian.
 */
import { InvalidArgumentError } from '../core/errors.js';
import type { ArrayParameter } from './database.js';
import { assertWellFormed, isStorable } from './well-formed.js';

type Item = ArrayParameter['items'][number];

/** One element type: what it accepts and how an accepted item is written. */
interface Element {
  readonly oid: number;
  /** Bytes of an item, or how to count them. */
  readonly size: number | ((item: never) => number);
  readonly rule: string;
  readonly accepts: (item: Item) => boolean;
  readonly write: (buffer: Buffer, item: never, offset: number, size: number) => void;
}

const HEADER = 12;
const DIMENSION = 8;
const LENGTH = 4;
const TWO_32 = 2 ** 32;
/** Beyond it the exact size is counted first: a buffer three times as large as its content would be dear. */
const WRITTEN_AT_ONCE = 512 * 1024;

const elements: Record<ArrayParameter['type'], Element> = {
  bool: {
    oid: 16,
    size: 1,
    rule: 'a boolean',
    accepts: (item) => typeof item === 'boolean',
    write: (buffer, item: boolean, offset) => buffer.writeInt8(item ? 1 : 0, offset),
  },
  int2: {
    oid: 21,
    size: 2,
    rule: 'an integer of 16 bits',
    accepts: (item) => isInteger(item, 2 ** 15),
    write: (buffer, item: number, offset) => buffer.writeInt16BE(item, offset),
  },
  int4: {
    oid: 23,
    size: 4,
    rule: 'an integer of 32 bits',
    accepts: (item) => isInteger(item, 2 ** 31),
    write: (buffer, item: number, offset) => buffer.writeInt32BE(item, offset),
  },
  int8: {
    oid: 20,
    size: 8,
    rule: 'an integer within ±(2^53 - 1)',
    accepts: Number.isSafeInteger,
    // Two halves: writeBigInt64BE would allocate a BigInt for each item.
    write: (buffer, item: number, offset) => {
      buffer.writeInt32BE(Math.floor(item / TWO_32), offset);
      buffer.writeUInt32BE(item >>> 0, offset + 4);
    },
  },
  float8: {
    oid: 701,
    size: 8,
    rule: 'a number',
    accepts: (item) => typeof item === 'number',
    write: (buffer, item: number, offset) => buffer.writeDoubleBE(item, offset),
  },
  text: {
    oid: 25,
    size: (item: string) => Buffer.byteLength(item),
    rule: 'a string',
    accepts: (item) => typeof item === 'string',
    write: (buffer, item: string, offset, size) => buffer.write(item, offset, size, 'utf8'),
  },
};

/** @throws InvalidArgumentError naming the position of an item that its type cannot hold. */
export function encodeArray(parameter: ArrayParameter): Buffer {
  const { items } = parameter;
  const element = elements[parameter.type];
  const nulls = checkItems(parameter);
  if (items.length === 0) return header(element, HEADER, 0, false);
  if (parameter.type === 'text') {
    const most = mostBytes(items);
    if (most <= WRITTEN_AT_ONCE) return encodeTexts(items as readonly (string | null)[], element, most, nulls > 0);
  }

  const buffer = header(element, HEADER + DIMENSION + bytesOf(items, element, nulls), 1, nulls > 0);
  buffer.writeInt32BE(items.length, HEADER);
  buffer.writeInt32BE(1, HEADER + LENGTH);
  let offset = HEADER + DIMENSION;
  // By index: iterating some hundred thousand items a second makes as many objects.
  for (let position = 0; position < items.length; position++) {
    const item = items[position] as Item;
    if (item === null) {
      offset = buffer.writeInt32BE(-1, offset);
      continue;
    }
    const size = sizeOf(element, item);
    offset = buffer.writeInt32BE(size, offset);
    element.write(buffer, item as never, offset, size);
    offset += size;
  }
  return buffer;
}

/** No UTF-16 unit is longer than three bytes. */
function mostBytes(items: readonly Item[]): number {
  let bytes = HEADER + DIMENSION + items.length * LENGTH;
  for (let position = 0; position < items.length; position++) {
    const item = items[position] as string | null;
    if (item !== null) bytes += item.length * 3;
  }
  return bytes;
}

/** Without counting the bytes of each text first, which takes as long as writing them. */
function encodeTexts(items: readonly (string | null)[], element: Element, most: number, hasNulls: boolean): Buffer {
  const buffer = header(element, most, 1, hasNulls);
  buffer.writeInt32BE(items.length, HEADER);
  buffer.writeInt32BE(1, HEADER + LENGTH);
  let offset = HEADER + DIMENSION;
  for (let position = 0; position < items.length; position++) {
    const item = items[position] as string | null;
    const bytes = item === null ? -1 : buffer.write(item, offset + LENGTH, 'utf8');
    buffer.writeInt32BE(bytes, offset);
    offset += LENGTH + Math.max(0, bytes);
  }
  return buffer.subarray(0, offset);
}

/** Refuses what the element type cannot hold, and counts the nulls. */
export function checkItems({ type, items }: ArrayParameter): number {
  const element = elements[type];
  let nulls = 0;
  for (let position = 0; position < items.length; position++) {
    const item = items[position] as Item;
    if (item === null) nulls++;
    else if (!element.accepts(item)) refuse(type, position, item);
    else if (typeof item === 'string' && !isStorable(item)) refuseText(type, position, item);
  }
  return nulls;
}

// Apart from the loop: a closure in it would make the loop's variables anew for each item, 50 bytes a time.

function refuse(type: ArrayParameter['type'], position: number, item: Item): never {
  throw new InvalidArgumentError(
    `item ${position} of a ${type}[] must be ${elements[type].rule}; got ${described(item)}`,
  );
}

function refuseText(type: ArrayParameter['type'], position: number, item: string): void {
  assertWellFormed(item, () => `item ${position} of a ${type}[]`);
}

function isInteger(item: Item, bound: number): boolean {
  return Number.isInteger(item) && (item as number) >= -bound && (item as number) < bound;
}

/** Numbers in full, of anything else only its type: items may be payloads. */
function described(item: unknown): string {
  return typeof item === 'number' ? String(item) : typeof item;
}

function bytesOf(items: readonly Item[], element: Element, nulls: number): number {
  const lengths = items.length * LENGTH;
  if (typeof element.size === 'number') return lengths + (items.length - nulls) * element.size;
  let bytes = lengths;
  for (let position = 0; position < items.length; position++) {
    const item = items[position] as Item;
    if (item !== null) bytes += sizeOf(element, item);
  }
  return bytes;
}

function sizeOf({ size }: Element, item: Item): number {
  return typeof size === 'number' ? size : size(item as never);
}

function header({ oid }: Element, bytes: number, dimensions: number, hasNulls: boolean): Buffer {
  // Every byte is written below or by the caller, so the pool's old content never leaves the process.
  const buffer = Buffer.allocUnsafe(bytes);
  buffer.writeInt32BE(dimensions, 0);
  buffer.writeInt32BE(hasNulls ? 1 : 0, 4);
  buffer.writeInt32BE(oid, 8);
  return buffer;
}
