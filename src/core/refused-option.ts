/** From the issues of valibot, which speak of schemas, to errors that speak of what the user wrote. */
import * as v from 'valibot';
import { unknownOption } from './nearest.js';
import { type Rule, refusal } from './refusal.js';
import { shownKind, shownValue } from './shown-value.js';

/** A rule as the message of a valibot schema; {@link refusedOption} reads it back. */
export function inWords({ must, todo }: Rule): string {
  return todo === undefined ? must : `${must}\n${todo}`;
}

type Issue = v.BaseIssue<unknown>;
type Keys = readonly (string | number)[];

function isUnknownKey(issue: Issue): boolean {
  return issue.type === 'strict_object' && issue.expected === 'never';
}

/**
 * The error for options that a schema refused.
 *
 * @param path Where the object stands in the call; empty when it is the options themselves.
 */
export function refusedOption(
  call: string,
  schema: v.GenericSchema,
  issues: readonly [Issue, ...Issue[]],
  path: string,
): Error {
  // An unknown key first: it is often the misspelling of the required key that is missing.
  const unknown = issues.find(isUnknownKey);
  return unknown === undefined ? refusedField(call, schema, issues[0], path) : refusedKey(call, schema, unknown, path);
}

function refusedKey(call: string, schema: v.GenericSchema, issue: Issue, path: string): Error {
  const keys = keysOf(issue);
  const parent = keys.slice(0, -1);
  return unknownOption(call, String(keys.at(-1)), knownKeys(schema, parent), joined(path, parent));
}

function refusedField(call: string, schema: v.GenericSchema, issue: Issue, path: string): Error {
  const keys = keysOf(issue);
  const secret = /password|secret|token/i.test(String(keys.at(-1)));
  const shown = secret ? shownKind(issue.input) : shownValue(issue.input);
  return refusal(
    call,
    joined(path, keys) || 'options',
    rule(missingField(schema, issue, keys) ?? issue),
    issue.input,
    shown,
  );
}

/** A missing key is an issue of the object, not of the field; what the field itself says about undefined is its rule. */
function missingField(schema: v.GenericSchema, issue: Issue, keys: Keys): Issue | undefined {
  if (issue.path?.at(-1)?.origin !== 'key') return undefined;
  const field = shapes(schema, keys.slice(0, -1)).find((shape) => String(keys.at(-1)) in shape)?.[String(keys.at(-1))];
  return field && v.safeParse(field, undefined).issues?.[0];
}

function rule(issue: Issue): Rule {
  // Valibot's own messages begin like this; all of ours are rules.
  if (issue.message.startsWith('Invalid ')) return { must: plainWords[issue.type] ?? alternatives(issue.expected) };
  const [must = '', todo] = issue.message.split('\n');
  return todo === undefined ? { must } : { must, todo };
}

const plainWords: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  boolean: 'true or false',
  function: 'a function',
  date: 'a Date',
  array: 'an array',
  record: 'an object',
  object: 'an object',
  loose_object: 'an object',
  strict_object: 'an object',
};

/** `("a" | "b")` in words. */
function alternatives(expected: string | null): string {
  return (expected ?? 'something else').replace(/^\(|\)$/g, '').replaceAll(' | ', ' or ');
}

function keysOf(issue: Issue): Keys {
  return (issue.path ?? []).map((item) => (typeof item.key === 'number' ? item.key : String(item.key)));
}

function joined(path: string, keys: Keys): string {
  return keys.reduce<string>((before, key) => {
    if (typeof key === 'number') return `${before}[${key}]`;
    if (!/^[\w$]{1,80}$/.test(key)) return `${before}[${shownValue(key)}]`;
    return before === '' ? key : `${before}.${key}`;
  }, path);
}

function knownKeys(schema: v.GenericSchema, keys: Keys): string[] {
  return shapes(schema, keys).flatMap((shape) => Object.keys(shape));
}

type Shape = Readonly<Record<string, v.GenericSchema>>;

/** What valibot's schemas of interest hold: optional and the like wrap one, unions offer several, objects have entries. */
interface SchemaParts {
  readonly wrapped?: v.GenericSchema;
  readonly options?: readonly unknown[];
  readonly entries?: Shape;
  readonly item?: v.GenericSchema;
  readonly value?: v.GenericSchema;
}

/** The object shapes that may stand at a path of the schema. */
function shapes(schema: v.GenericSchema, [key, ...rest]: Keys): Shape[] {
  const { wrapped, options, entries, item, value } = schema as SchemaParts;
  const keys = key === undefined ? [] : [key, ...rest];
  if (wrapped) return shapes(wrapped, keys);
  if (entries === undefined && options)
    return options.flatMap((option) => (isSchema(option) ? shapes(option, keys) : []));
  if (key === undefined) return entries ? [entries] : [];
  const field = entries?.[key] ?? item ?? value;
  return field ? shapes(field, rest) : [];
}

function isSchema(option: unknown): option is v.GenericSchema {
  return typeof option === 'object' && option !== null && 'kind' in option && option.kind === 'schema';
}
