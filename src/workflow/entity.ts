import { encodeValue } from '../codec/payload.js';
import { checkDocumentValue, documentPath } from '../core/document-path.js';
import { refusal } from '../core/refusal.js';
import { unawaited } from '../core/unawaited.js';
import { DocumentSession } from './document-session.js';
import { createIndex, find, findByCondition, findById } from './entity-finders.js';

type Document = Record<string, unknown>;

/**
 * The entity document: one JSON object that the threads of a workflow share. What {@link entity} gives.
 *
 * Paths are keys with dots between them; in an array a key is an index. What is missing or null on the way to a place that is
 * written becomes an object. Each call is a durable operation of the step it stands in: done once, in the order of the calls,
 * and with the same answer in each replay. A call that meets something else than it works on throws {@link DocumentError} and
 * changes nothing.
 *
 * The document is plain jsonb, at most 8 MiB and 100 levels: SQL computes on it, and the payload codec does not apply.
 */
export class Entity {
  /** Finds workflows by their entity documents; see {@link find}. */
  static readonly find = find;
  static readonly findById = findById;
  static readonly findByCondition = findByCondition;
  static readonly createIndex = createIndex;

  readonly #session: DocumentSession;

  /** @internal */
  constructor(session: DocumentSession) {
    this.#session = session;
  }

  /**
   * Replaces the whole document.
   *
   * @returns the document as it was stored: `undefined` fields are gone, dates are text.
   */
  set<T extends object = Document>(document: T): Promise<T> {
    const call = 'entity.set';
    const answer = this.#session.call('set', () => `[${documentText(call, 'document', document)}]`);
    return unawaited(answer.then(({ args }) => (JSON.parse(args) as [T])[0]));
  }

  /**
   * Merges fields into the document, at any depth. Arrays and everything else that is no object are replaced.
   *
   * @returns the whole document.
   */
  merge<T extends object = Document>(partial: object): Promise<T> {
    return this.#call('merge', (call) => [documentText(call, 'partial', partial)]);
  }

  /** @returns the value at the path, undefined when there is none; without a path the whole document. */
  get<T = Document>(path?: string): Promise<T> {
    return this.#call('get', (call) => [JSON.stringify(path === undefined ? [] : documentPath(call, path))]);
  }

  /**
   * Removes what stands at the path, if anything does.
   *
   * @returns the whole document.
   */
  delete<T extends object = Document>(path: string): Promise<T> {
    return this.#call('delete', (call) => [JSON.stringify(documentPath(call, path))]);
  }

  /**
   * Appends a value to the array at the path, which is made when there is none; or, given an object, what stands in its arrays to
   * the arrays at the same places: `append({ user: { tags: ['a', 'b'] } })`.
   *
   * @returns the array; with an object, the whole document.
   */
  append<T = unknown>(path: string, value: unknown): Promise<T[]>;
  append<T extends object = Document>(additions: object): Promise<T>;
  append(...given: readonly [unknown, unknown?]): Promise<unknown> {
    return this.#call('append', (call) => additions(call, given));
  }

  /** As {@link append}, at the beginning of the arrays. */
  prepend<T = unknown>(path: string, value: unknown): Promise<T[]>;
  prepend<T extends object = Document>(additions: object): Promise<T>;
  prepend(...given: readonly [unknown, unknown?]): Promise<unknown> {
    return this.#call('prepend', (call) => additions(call, given));
  }

  /**
   * Removes the item of an array.
   *
   * @param index From 0.
   * @returns the array without it.
   * @throws {DocumentError} when there is no array, or no such item.
   */
  remove<T = unknown>(path: string, index: number): Promise<T[]> {
    return this.#call('remove', (call) => {
      if (!Number.isInteger(index) || index < 0) throw refusal(call, 'index', { must: 'a whole number from 0' }, index);
      return [JSON.stringify(documentPath(call, path)), String(index)];
    });
  }

  /**
   * Adds to the number at the path; where there is none it counts as 0.
   *
   * @returns the sum, of exact decimals.
   */
  increment(path: string, by = 1): Promise<number> {
    return this.#call('increment', (call) => {
      if (!Number.isFinite(by)) throw refusal(call, 'by', { must: 'a finite number' }, by);
      return [JSON.stringify(documentPath(call, path)), JSON.stringify(by)];
    });
  }

  /** Turns true into false and false, or what is missing, into true. @returns what it is now. */
  toggle(path: string): Promise<boolean> {
    return this.#call('toggle', (call) => [JSON.stringify(documentPath(call, path))]);
  }

  /** Sets a value where nothing stands; null is something. @returns what stands there now. */
  setIfNotExists<T = unknown>(path: string, value: T): Promise<T> {
    return this.#call('setIfNotExists', (call) => {
      const keys = documentPath(call, path);
      return [JSON.stringify(keys), valueText(call, 'value', value, keys.length)];
    });
  }

  /** @param args Makes the arguments, each as JSON. */
  #call<T>(method: string, args: (call: string) => string[]): Promise<T> {
    const answer = this.#session.call(method, () => `[${args(`entity.${method}`).join(',')}]`);
    return unawaited(answer.then(({ value }) => value as T));
  }
}

/**
 * Opens a session on the entity document of this workflow. It belongs to this execution.
 *
 * @example
 * const cart = await Durable.workflow.entity();
 * await cart.set({ items: [], total: 0 });
 * await cart.append('items', { sku: 'a-1' });
 * const total = await cart.increment('total', 9.9);
 */
export function entity(): Promise<Entity> {
  return unawaited(openEntity());
}

async function openEntity(): Promise<Entity> {
  return new Entity(new DocumentSession('entity', 'entity'));
}

function documentText(call: string, name: string, document: unknown): string {
  const text = valueText(call, name, document, 0);
  if (!text.startsWith('{')) throw refusal(call, name, { must: 'an object' }, document);
  return text;
}

/** @param depth How deep in the document it will stand. */
function valueText(call: string, name: string, value: unknown, depth: number): string {
  const text = encodeValue(value, `${call}: ${name}`);
  if (text === null) throw refusal(call, name, { must: 'a value that JSON can hold' }, value);
  checkDocumentValue(call, name, text, depth);
  return text;
}

/** The arguments of `append` and `prepend`: which items go where, and whether the whole document is the answer. */
function additions(call: string, [first, value]: readonly [unknown, unknown?]): string[] {
  if (typeof first === 'string') {
    const keys = documentPath(call, first);
    return [`[[${JSON.stringify(keys)},[${valueText(call, 'value', value, keys.length + 1)}]]]`, 'false'];
  }
  const text = documentText(call, 'additions', first);
  const places = placesOf(call, JSON.parse(text) as Document, []);
  if (places.length === 0)
    throw refusal(call, 'additions', { must: 'an object with something to add, such as { tags: ["new"] }' }, first);
  return [JSON.stringify(places), 'true'];
}

/** The arrays in a path-shaped object, each with its path. What is no array counts as one item. */
function placesOf(call: string, value: Document, path: readonly string[]): [readonly string[], unknown[]][] {
  return Object.entries(value).flatMap(([key, field]) => {
    const place = [...path, ...documentKey(call, key)];
    if (typeof field === 'object' && field !== null && !Array.isArray(field))
      return placesOf(call, field as Document, place);
    return [[place, Array.isArray(field) ? field : [field]]];
  });
}

/** A key of an object may hold dots, in which it differs from a path. */
function documentKey(call: string, key: string): string[] {
  documentPath(call, key.replaceAll('.', '_'));
  return [key];
}
