/**
 * Search fields: flat text by name, shared by the threads of a run and stored as jsonb, since SQL computes on them. The payload
 * codec does not apply to them.
 */
import * as v from 'valibot';
import { PayloadTooLargeError } from './errors.js';
import { holdsFields } from './holds-fields.js';
import { identifierRuleFor, isIdentifier } from './identifier.js';
import { refusal } from './refusal.js';
import { shownValue } from './shown-value.js';
import { utf8Length } from './utf8-length.js';

/** What may be given as the value of a search field; stored as its text. */
export type SearchValue = string | number | boolean | bigint;

/** Search fields as `start`, `executeChild` and `hook` take them. */
export interface SearchOptions {
  readonly data: Readonly<Record<string, SearchValue>>;
}

/** The fields of one call together, in bytes of their JSON. SQL bounds what they add up to. */
const MAX_SEARCH_BYTES = 1_048_576;

/** The option `search`. What its fields may hold is up to {@link searchTexts}. */
export const searchOption = v.strictObject({
  data: v.custom<Readonly<Record<string, SearchValue>>>(holdsFields, 'an object of text, numbers or booleans by field'),
});

/**
 * Search fields as they are stored.
 *
 * @param path How the errors call the object; empty when it is the arguments themselves.
 * @throws {InvalidArgumentError} for names and values that cannot be stored, at the call, so that they never reach a batch.
 * @throws {PayloadTooLargeError} when they are larger than 1 MiB together.
 */
export function searchTexts(
  call: string,
  data: Readonly<Record<string, unknown>>,
  path = 'search.data',
): Record<string, string> {
  const texts = Object.fromEntries(
    Object.entries(data).map(([name, value]) => [
      storedField(call, name, path === '' ? 'field' : path),
      searchText(call, value, fieldPath(path, name)),
    ]),
  );
  const size = utf8Length(JSON.stringify(texts));
  if (size <= MAX_SEARCH_BYTES) return texts;
  throw new PayloadTooLargeError(
    `${call}: the fields have ${size} bytes, the limit is ${MAX_SEARCH_BYTES}; store them elsewhere and keep a reference`,
    { path: path || 'fields', size, limit: MAX_SEARCH_BYTES },
  );
}

/**
 * The name under which a field is stored. A name in double quotes is *literal*: a field of its own, which is not user data.
 * HotMesh stores user data with a prefix `_`, so there `"_color"` literally is the user's `color`; so it is here.
 */
export function storedField(call: string, name: unknown, path = 'field'): string {
  const literal = typeof name === 'string' && isLiteralField(name);
  const stored = literal && name[1] === '_' ? name.slice(2, -1) : name;
  if (isIdentifier(stored) && stored !== '__proto__' && stored !== '""') return stored;
  const rule = identifierRuleFor(name);
  throw refusal(call, path, { ...rule, must: `named by ${rule.must}, other than __proto__` }, name);
}

/** Whether the name stands in double quotes. */
export function isLiteralField(name: string): boolean {
  return name.length >= 2 && name.startsWith('"') && name.endsWith('"');
}

function fieldPath(path: string, name: string): string {
  if (!/^[\w$]{1,80}$/.test(name)) return `${path}[${shownValue(name)}]`;
  return path === '' ? name : `${path}.${name}`;
}

function searchText(call: string, value: unknown, path: string): string {
  const given =
    typeof value === 'number' ? Number.isFinite(value) : ['string', 'boolean', 'bigint'].includes(typeof value);
  if (!given) throw refusal(call, path, { must: 'text, a finite number or a boolean' }, value);
  const text = String(value);
  if (text.isWellFormed() && !text.includes('\0')) return text;
  throw refusal(
    call,
    path,
    { must: 'text without NUL characters and lone surrogates', todo: 'Encode it, or leave it out' },
    value,
  );
}
