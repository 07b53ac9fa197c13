/** Telling an object of fields from one that only looks like it. */
import { readField } from './plain-data.js';

/**
 * Whether a value has its fields under their names, as options and the like do. Arrays, a `Map`, `Headers`, a `Date` and a promise
 * that was not awaited have none: taken for options they would quietly mean that nothing was given. Never throws.
 */
export function holdsFields(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  if (typeof readField(value, Symbol.iterator) === 'function' || typeof readField(value, 'then') === 'function')
    return false;
  return kindOf(value) === null;
}

const kinds = [
  [Date, 'a Date'],
  [Map, 'a Map'],
  [Set, 'a Set'],
  [Promise, 'a promise'],
  [RegExp, 'a RegExp'],
] as const;

/** What an object is that holds no fields, in words; null for all others. */
export function kindOf(value: object): string | null {
  try {
    return kinds.find(([kind]) => value instanceof kind)?.[1] ?? null;
  } catch {
    return null; // a Proxy whose handler throws
  }
}
