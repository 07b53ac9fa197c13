/** Paths into an entity document, and what may be stored there. */
import { InvalidArgumentError } from './errors.js';
import { documentKeyRule, isDocumentKey } from './identifier.js';
import { refusal } from './refusal.js';
import { shownValue } from './shown-value.js';

/** SQL merges level by level, and its stack is small. */
const MAX_DOCUMENT_DEPTH = 100;

/**
 * The keys of a path such as `user.tags`. A whole number is a key of an object, or the index in an array.
 *
 * @throws {InvalidArgumentError} for empty paths and keys, keys that cannot be stored, and `__proto__`.
 */
export function documentPath(call: string, path: unknown): string[] {
  const keys = typeof path === 'string' ? path.split('.', MAX_DOCUMENT_DEPTH + 1) : [];
  if (keys.length > 0 && keys.length <= MAX_DOCUMENT_DEPTH && keys.every(isKey)) return keys;
  throw refusal(
    call,
    'path',
    {
      must: `keys with dots between them, at most ${MAX_DOCUMENT_DEPTH}, each ${documentKeyRule.must}, none of them __proto__`,
    },
    path,
  );
}

function isKey(key: string): boolean {
  return isDocumentKey(key) && key !== '__proto__';
}

/**
 * Lets the JSON text of a value through that Postgres can hold as jsonb below a path of `depth` keys.
 *
 * @param name How the error calls the value.
 * @throws {InvalidArgumentError} when text or keys in it hold NUL or lone surrogates, or when it is nested too deep.
 */
export function checkDocumentValue(call: string, name: string, text: string, depth: number): void {
  // The serialiser escapes what jsonb refuses; a level takes two characters. So nearly every value ends here.
  if (!/\\u(?:0000|d[89a-f])/.test(text) && text.length < 2 * (MAX_DOCUMENT_DEPTH - depth)) return;
  walk(call, name, JSON.parse(text), depth);
}

function walk(call: string, path: string, value: unknown, depth: number): void {
  if (typeof value === 'string') checkText(call, path, value);
  if (typeof value !== 'object' || value === null) return;
  if (depth >= MAX_DOCUMENT_DEPTH)
    throw new InvalidArgumentError(
      `${call}: the document would be nested deeper than ${MAX_DOCUMENT_DEPTH} levels; flatten it`,
    );
  if (Array.isArray(value)) {
    value.forEach((item, index) => {
      walk(call, `${path}[${index}]`, item, depth + 1);
    });
    return;
  }
  for (const [key, field] of Object.entries(value)) {
    checkText(call, `a key of ${path}`, key);
    walk(
      call,
      /^[A-Za-z_$][\w$]{0,79}$/.test(key) ? `${path}.${key}` : `${path}[${shownValue(key)}]`,
      field,
      depth + 1,
    );
  }
}

function checkText(call: string, path: string, text: string): void {
  if (text.isWellFormed() && !text.includes('\0')) return;
  throw refusal(
    call,
    path,
    { must: 'text without NUL characters and lone surrogates', todo: 'Encode it, or leave it out' },
    text,
  );
}
