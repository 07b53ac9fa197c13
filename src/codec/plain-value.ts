/**
 * What may be stored of a user's value: the fast test whether it is plain data already, and the careful walk that converts
 * the rest or refuses it by its path.
 */
import { PayloadError, PayloadTooLargeError } from '../core/errors.js';
import { nameOfError } from '../core/name-of-error.js';
import { shownValue } from '../core/shown-value.js';

/** `JSON.parse` reads deeper nesting than `JSON.stringify` can write (about 5,000 levels); this stays well below both. */
export const maxPayloadDepth = 500;

/** A lower bound of the bytes that are still free. Also bounds the walk: shared references make small values huge. */
interface Room {
  left: number;
}

/**
 * Whether the built-in serialiser gives the value's text without losing anything, within the limits. False means: look closer.
 * May be wrong only for getters that give another value the second time.
 */
export function isPlain(value: unknown, maxBytes: number): boolean {
  try {
    return scan(value, 1, { left: maxBytes });
  } catch {
    return false; // a getter that throws; the closer look says where
  }
}

function scan(value: unknown, level: number, room: Room): boolean {
  switch (typeof value) {
    case 'string':
      room.left -= value.length + 2;
      return room.left >= 0;
    case 'number':
    case 'boolean':
      room.left -= 1;
      return true;
    case 'undefined':
      return true;
    case 'object':
      if (value === null) return true;
      room.left -= 2;
      return room.left >= 0 && level <= maxPayloadDepth && scanObject(value, level, room);
    default:
      return false;
  }
}

function scanObject(value: object, level: number, room: Room): boolean {
  const prototype = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    room.left -= Math.max(0, value.length - 1); // commas; without them an empty array of length 2^32 would cost nothing
    if (prototype !== Array.prototype || room.left < 0) return false;
    for (let i = 0; i < value.length; i++) if (!scan(value[i], level + 1, room)) return false;
    return true;
  }
  if (prototype !== Object.prototype && prototype !== null) return value instanceof Date;
  // `for in`, though it also visits what was added to Object.prototype: a third faster than Object.keys, and no harm, since
  // a wrong "no" only costs the closer look.
  for (const key in value) {
    room.left -= key.length;
    if (!scan((value as Record<string, unknown>)[key], level + 1, room)) return false;
  }
  return true;
}

/** The careful walk: where it stands, and what it has gone through to get there. */
interface Walk extends Room {
  readonly root: string;
  readonly keys: (string | number)[];
  readonly parents: object[];
  readonly maxBytes: number;
}

/**
 * A copy of the value that is plain data.
 *
 * @param path How the error calls the value, e.g. `args[0]`.
 * @throws {PayloadError} for what cannot be stored, with its path.
 * @throws {PayloadTooLargeError} when its text would be larger than `maxBytes`, as far as can be told without making it.
 */
export function plainValue(value: unknown, path: string, maxBytes: number): unknown {
  return convert(value, { root: path, keys: [], parents: [], left: maxBytes, maxBytes });
}

function convert(value: unknown, walk: Walk, honourToJson = true): unknown {
  switch (typeof value) {
    case 'string':
      take(walk, value.length + 2);
      return value;
    case 'number':
    case 'boolean':
      take(walk, 1);
      return value;
    case 'undefined':
      return undefined;
    case 'object':
      return value === null ? null : convertObject(value, walk, honourToJson);
    case 'function':
      throw refused(walk, 'a function', 'leave it out');
    default:
      throw refused(walk, shownValue(value), 'convert it');
  }
}

function convertObject(value: object, walk: Walk, honourToJson: boolean): unknown {
  take(walk, 2);
  if (honourToJson && walk.parents.includes(value)) throw refused(walk, 'a circular reference', 'leave it out');
  if (walk.parents.length >= maxPayloadDepth) {
    throw new PayloadError(`${walk.root} is nested deeper than ${maxPayloadDepth} levels; flatten it`);
  }
  walk.parents.push(value);
  const plain = read(walk, () => {
    const prototype = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) return fields(value, walk);
    return convertInstance(value, walk, honourToJson);
  });
  walk.parents.pop();
  return plain;
}

function convertInstance(value: object, walk: Walk, honourToJson: boolean): unknown {
  const { toJSON, then } = value as { toJSON?: unknown; then?: unknown };
  if (honourToJson && typeof toJSON === 'function') {
    // As the built-in serialiser does: what toJSON gives is not asked for its own toJSON again.
    return convert(toJSON.call(value, String(walk.keys.at(-1) ?? '')), walk, false);
  }
  if (Array.isArray(value)) {
    take(walk, value.length);
    return Array.from(value, (item, i) => at(i, walk, () => convert(item, walk)) ?? null);
  }
  if (typeof then === 'function') throw refused(walk, 'a promise', 'await it');
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  const advice = ArrayBuffer.isView(value) ? 'convert it, for example to base64 text' : lossy[kind];
  if (advice !== undefined) throw refused(walk, `a ${kind}`, advice);
  if (boxed.has(kind)) return convert(value.valueOf(), walk);
  return value instanceof Error ? errorFields(value, walk) : fields(value, walk);
}

/** Objects whose content is not in their fields, and what to do with them. As JSON they would become `{}`. */
const lossy: Readonly<Record<string, string>> = {
  Map: 'convert it, for example with Object.fromEntries',
  Set: 'convert it to an array',
  WeakMap: 'leave it out',
  WeakSet: 'leave it out',
  WeakRef: 'leave it out',
  Promise: 'await it',
  RegExp: 'pass its source',
  ArrayBuffer: 'convert it, for example to base64 text',
  SharedArrayBuffer: 'convert it, for example to base64 text',
  Generator: 'collect it into an array',
  AsyncGenerator: 'collect it into an array',
};

/** `new String('x')` and the like. */
const boxed = new Set(['String', 'Number', 'Boolean', 'BigInt', 'Symbol']);

/** The built-in serialiser would drop an error's name, message and cause, which are not enumerable. */
function errorFields(error: Error, walk: Walk): Record<string, unknown> {
  const told = {
    name: nameOfError(error),
    message: String(error.message),
    ...(error.cause !== undefined && { cause: error.cause }),
  };
  return { ...fields(told, walk), ...fields(error, walk) };
}

function fields(value: object, walk: Walk): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const field = at(key, walk, () => convert(Reflect.get(value, key), walk));
    if (field === undefined) continue;
    take(walk, key.length);
    // Not an assignment: with the key `__proto__` that would replace the prototype.
    Object.defineProperty(copy, key, { value: field, enumerable: true, writable: true, configurable: true });
  }
  return copy;
}

function take(walk: Walk, bytes: number): void {
  walk.left -= bytes;
  if (walk.left < 0) throw tooLarge(walk.root, walk.maxBytes - walk.left, walk.maxBytes, 'at least ');
}

/** Goes one key down. The key stays when something is thrown, so that the path of the error is right. */
function at<T>(key: string | number, walk: Walk, visit: () => T): T {
  walk.keys.push(key);
  const result = visit();
  walk.keys.pop();
  return result;
}

/** Runs the user's code that reading may be: getters, toJSON, the traps of a Proxy. */
function read<T>(walk: Walk, visit: () => T): T {
  try {
    return visit();
  } catch (error) {
    if (error instanceof PayloadError) throw error;
    throw new PayloadError(`${pathOf(walk)} cannot be read: it threw ${nameOfError(error)}`, { cause: error });
  }
}

function refused(walk: Walk, what: string, advice: string): PayloadError {
  return new PayloadError(`${pathOf(walk)} is ${what}; ${advice}`);
}

/** The error for a text of more than `limit` bytes. */
export function tooLarge(path: string, size: number, limit: number, bound = ''): PayloadTooLargeError {
  const advice = 'store it elsewhere and pass a reference, or raise the limit';
  return new PayloadTooLargeError(`${path} has ${bound}${size} bytes, the limit is ${limit}; ${advice}`, {
    path,
    size,
    limit,
  });
}

const maxShownKeys = 20;

function pathOf({ root, keys }: Walk): string {
  const middle = keys.length > maxShownKeys ? ['...'] : [];
  const [first, last] =
    middle.length > 0 ? [keys.slice(0, maxShownKeys / 2), keys.slice(-maxShownKeys / 2)] : [keys, []];
  return [root, ...first.map(shownKey), ...middle, ...last.map(shownKey)].join('');
}

function shownKey(key: string | number): string {
  if (typeof key === 'number') return `[${key}]`;
  return /^[A-Za-z_$][\w$]{0,79}$/.test(key) ? `.${key}` : `[${shownValue(key)}]`;
}
