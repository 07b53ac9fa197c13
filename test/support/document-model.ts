/**
 * What calls of search and entity sessions do, in plain JavaScript: the oracle for sql/functions/search_call.sql and
 * entity_call.sql, and their stand-in in the simulated store. Sizes are not bounded here.
 */

import type { Decision, DocumentRefusal } from '../../src/core/history.js';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Fields = { [key: string]: Json };

/** What is stored for a run; undefined where nothing ever was. */
export interface ModelDocuments {
  search?: Record<string, string>;
  entity?: Fields;
}

class Refusal extends Error {
  constructor(
    readonly why: DocumentRefusal,
    readonly at: readonly string[],
  ) {
    super(why);
  }
}

/** Carries a call out. A refused one changes nothing. */
export function callDocument(
  documents: ModelDocuments,
  kind: 'search' | 'entity',
  method: string,
  args: string,
): Decision {
  try {
    const given = JSON.parse(args) as Json;
    if (kind === 'search') return callSearch(documents, method, given as Json[]);
    return callEntity(documents, method, given as Json[]);
  } catch (error) {
    if (error instanceof Refusal) return { what: 'refused', why: error.why, at: error.at };
    throw error;
  }
}

// ---- search

function callSearch(documents: ModelDocuments, method: string, args: Json[]): Decision {
  const fields = new Map(Object.entries(documents.search ?? {}));
  const store = () => {
    documents.search = Object.fromEntries(fields);
  };
  switch (method) {
    case 'set':
      for (const [name, text] of Object.entries(args[0] as Fields)) fields.set(name, text as string);
      store();
      return { what: 'usual' };
    case 'get':
      return value(fields.get(args[0] as string) ?? '');
    case 'mget':
      return value(args.map((name) => fields.get(name as string) ?? ''));
    case 'del': {
      const gone = args.filter((name) => fields.delete(name as string)).length;
      if (documents.search !== undefined) store();
      return value(gone);
    }
    default: {
      const [name, by] = args as [string, number];
      const before = fields.get(name) ?? (method === 'incr' ? '0' : '1');
      const result = compute(method, before, by, [name]);
      fields.set(name, result);
      store();
      return value(Number(result));
    }
  }
}

/** A decimal as an integer and how many of its digits stand behind the point. */
type Decimal = readonly [digits: bigint, scale: number];

function compute(method: string, before: string, by: number, at: readonly string[]): string {
  const one = decimalOf(before);
  const other = decimalOf(String(by)) as Decimal;
  if (one === null) throw new Refusal('number', at);
  const scale = Math.max(one[1], other[1]);
  const aligned = ([digits, own]: Decimal) => digits * 10n ** BigInt(scale - own);
  const [digits, decimals] =
    method === 'mult' ? [one[0] * other[0], one[1] + other[1]] : [aligned(one) + aligned(other), scale];
  const text = textOf(digits, decimals);
  const size = digits < 0n ? -digits : digits;
  if (size > LARGEST * 10n ** BigInt(decimals) || (text.split('.')[1] ?? '').length > 500)
    throw new Refusal('range', at);
  return text;
}

/** As JavaScript writes it. */
const LARGEST = BigInt('17976931348623157') * 10n ** 292n;

function decimalOf(text: string): Decimal | null {
  const parts = /^([+-]?)(?:(\d+)\.?(\d*)|\.(\d+))(?:[eE]([+-]?\d{1,3}))?$/.exec(text);
  if (parts === null || text.length > 1000) return null;
  const [, sign, whole = '', behind = '', only = '', exponent = '0'] = parts;
  const decimals = behind + only;
  const scale = decimals.length - Number(exponent);
  const digits = BigInt(`${whole}${decimals}`) * (sign === '-' ? -1n : 1n);
  return scale >= 0 ? [digits, scale] : [digits * 10n ** BigInt(-scale), 0];
}

/** Without trailing zeros. */
function textOf(digits: bigint, scale: number): string {
  const text = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, '0');
  const behind = scale === 0 ? '' : text.slice(-scale).replace(/0+$/, '');
  const whole = scale === 0 ? text : text.slice(0, -scale);
  return `${digits < 0n ? '-' : ''}${whole}${behind === '' ? '' : `.${behind}`}`;
}

// ---- entity

function callEntity(documents: ModelDocuments, method: string, args: Json[]): Decision {
  const before = structuredClone(documents.entity ?? {});
  const path = args[0] as string[];
  const there = Array.isArray(path) && typeof path[0] === 'string' ? lookUp(before, path) : undefined;
  const put = (at: readonly string[], item: Json) => {
    documents.entity = putAt(before, at, item) as Fields;
  };
  switch (method) {
    case 'get':
      return value(path.length === 0 ? before : there);
    case 'set':
      documents.entity = args[0] as Fields;
      return { what: 'usual' };
    case 'merge':
      documents.entity = merged(before, args[0] as Json) as Fields;
      return value(documents.entity);
    case 'delete':
      documents.entity = (there === undefined ? before : without(before, path)) as Fields;
      return value(documents.entity);
    case 'append':
    case 'prepend': {
      const [places, wholeDocument] = args as [[string[], Json[]][], boolean];
      let document: Json = before;
      let list: Json[] = [];
      for (const [at, items] of places) {
        const old = listAt(document, at);
        list = method === 'append' ? [...old, ...items] : [...items, ...old];
        document = putAt(document, at, list);
      }
      documents.entity = document as Fields;
      return value(wholeDocument ? document : list);
    }
    case 'remove': {
      const list = listAt(before, path);
      const index = args[1] as number;
      if (index >= list.length) throw new Refusal('index', path);
      const rest = list.filter((_, n) => n !== index);
      put(path, rest);
      return value(rest);
    }
    case 'increment': {
      if (typeof (there ?? 0) !== 'number') throw new Refusal('number', path);
      const sum = Number(compute('incr', String(there ?? 0), args[1] as number, path));
      put(path, sum);
      return value(sum);
    }
    case 'toggle': {
      if (typeof (there ?? false) !== 'boolean') throw new Refusal('boolean', path);
      put(path, !there);
      return value(!there);
    }
    default: // setIfNotExists
      put(path, there === undefined ? (args[1] as Json) : there);
      return value(there === undefined ? args[1] : there);
  }
}

const isFields = (json: Json | undefined): json is Fields =>
  typeof json === 'object' && json !== null && !Array.isArray(json);

const isIndex = (key: string) => /^(0|[1-9]\d{0,8})$/.test(key);

function childOf(node: Json | undefined, key: string): Json | undefined {
  if (Array.isArray(node)) return isIndex(key) ? node[Number(key)] : undefined;
  return isFields(node) && Object.hasOwn(node, key) ? node[key] : undefined;
}

function lookUp(node: Json | undefined, path: readonly string[]): Json | undefined {
  return path.reduce<Json | undefined>((at, key) => childOf(at, key), node);
}

function listAt(document: Json, path: readonly string[]): Json[] {
  const list = lookUp(document, path) ?? [];
  if (!Array.isArray(list)) throw new Refusal('array', path);
  return list;
}

/** With the key `__proto__` an assignment would replace the prototype. */
function withField(fields: Fields, key: string, item: Json): Fields {
  return Object.fromEntries([...Object.entries(fields).filter(([name]) => name !== key), [key, item]]);
}

function putAt(node: Json, path: readonly string[], item: Json, above: readonly string[] = []): Json {
  const [key, ...rest] = path;
  if (key === undefined) return item;
  const inside = (child: Json | undefined) =>
    putAt(child ?? (rest.length > 0 ? {} : null), rest, item, [...above, key]);
  if (Array.isArray(node)) {
    if (!isIndex(key) || Number(key) > node.length) throw new Refusal('index', [...above, key]);
    const copy = [...node];
    copy[Number(key)] = inside(node[Number(key)]);
    return copy;
  }
  if (!isFields(node)) throw new Refusal('object', above);
  return withField(node, key, inside(childOf(node, key)));
}

function without(node: Json, [key = '', ...rest]: readonly string[]): Json {
  if (Array.isArray(node))
    return rest.length === 0
      ? node.filter((_, index) => index !== Number(key))
      : node.map((item, index) => (index === Number(key) ? without(item, rest) : item));
  const fields = node as Fields;
  if (rest.length > 0) return withField(fields, key, without(childOf(fields, key) as Json, rest));
  return Object.fromEntries(Object.entries(fields).filter(([name]) => name !== key));
}

function merged(into: Json | undefined, from: Json): Json {
  if (!isFields(into) || !isFields(from)) return from;
  return Object.entries(from).reduce<Fields>(
    (all, [key, item]) => withField(all, key, merged(childOf(all, key), item)),
    into,
  );
}

function value(given: unknown): Decision {
  return { what: 'value', value: structuredClone(given) };
}
