export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

/** How much may still be copied. Shared by all copies for one purpose, and used up as they go. */
export interface CopyBudget {
  /** Text, in characters. */
  characters: number;
  /** Values, however small. */
  values: number;
}

const maxDepth = 8;

/**
 * The plain part of a foreign value: text, finite numbers, booleans, null, and arrays and plain objects of them; a Date as
 * ISO text. Undefined for everything else (functions, class instances such as sockets and requests, BigInt), for what throws
 * when it is read, and for what exceeds the budget. Never throws, never calls the value's own methods.
 */
function plainCopy(value: unknown, budget: CopyBudget, depth = 0): Json | undefined {
  if (depth > maxDepth || budget.values-- <= 0) return undefined;
  switch (typeof value) {
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value + 0 : undefined; // JSON has no -0
    case 'string':
      budget.characters -= value.length;
      return budget.characters < 0 ? undefined : value;
    case 'object':
      try {
        return value === null ? null : copyObject(value, budget, depth);
      } catch {
        return undefined;
      }
    default:
      return undefined;
  }
}

function copyObject(value: object, budget: CopyBudget, depth: number): Json | undefined {
  if (Array.isArray(value)) {
    return Array.from(
      { length: Math.min(value.length, Math.max(0, budget.values)) },
      (_, i) => plainCopy(value[i], budget, depth + 1) ?? null,
    );
  }
  if (value instanceof Date)
    return Number.isFinite(Date.prototype.getTime.call(value)) ? Date.prototype.toISOString.call(value) : null;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) return undefined;
  return plainFields(value, () => true, budget, depth);
}

/** The plain ones among an object's own enumerable fields with the keys that `wanted` lets through. */
export function plainFields(
  value: object,
  wanted: (key: string) => boolean,
  budget: CopyBudget,
  depth = 0,
): JsonObject {
  const copy: Record<string, Json> = {};
  for (const key of ownKeys(value)) {
    if (!wanted(key) || budget.values <= 0) continue;
    const field = plainCopy(readField(value, key), budget, depth + 1);
    budget.characters -= key.length;
    // Not an assignment: with the key `__proto__` that would replace the prototype.
    if (field !== undefined)
      Object.defineProperty(copy, key, { value: field, enumerable: true, writable: true, configurable: true });
  }
  return copy;
}

/** A property of an object that may be anything: undefined when reading it throws. */
export function readField(value: object, key: PropertyKey): unknown {
  try {
    return Reflect.get(value, key);
  } catch {
    return undefined;
  }
}

function ownKeys(value: object): string[] {
  try {
    return Object.keys(value);
  } catch {
    return [];
  }
}
