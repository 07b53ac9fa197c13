import { checkDocumentEngine, type DocumentEngine } from '../core/document-engine.js';
import { InvalidArgumentError } from '../core/errors.js';
import { holdsFields } from '../core/holds-fields.js';
import { checkWorkflowId } from '../core/identifier.js';
import { refusal } from '../core/refusal.js';
import { type SearchValue, searchTexts, storedField } from '../core/search-fields.js';
import { unawaited } from '../core/unawaited.js';
import { DocumentSession } from './document-session.js';

/**
 * Search fields: flat text that the threads of a workflow share, to find it by and to count with. What {@link search} gives.
 *
 * Each call is a durable operation of the step it stands in: done once, in the order of the calls, and with the same answer in
 * each replay. Numbers are exact decimals: `0.1` ten times is `1`, and fifty hooks that count at once lose nothing. A name in
 * double quotes (`'"id"'`) is a field of its own, apart from the user data that `start` sets and clients see.
 *
 * Refused at the call: names and values with NUL characters or lone surrogates, and `__proto__`.
 */
export class Search {
  readonly #session: DocumentSession;

  /** @internal */
  constructor(session: DocumentSession) {
    this.#session = session;
  }

  /**
   * Sets fields: an object, or names and values in turn. Values are stored as text.
   *
   * @returns how many fields were given.
   */
  set(fields: Readonly<Record<string, SearchValue>>): Promise<number>;
  set(...namesAndValues: readonly SearchValue[]): Promise<number>;
  set(...given: readonly unknown[]): Promise<number> {
    return setFields(this.#session, 'search.set', given);
  }

  /** @returns the field's text; `''` when there is none. */
  get(field: string): Promise<string> {
    return unawaited(this.#call('get', () => [storedField('search.get', field)]) as Promise<string>);
  }

  /** @returns the texts of several fields; `''` for those that are not there. */
  mget(...fields: readonly string[]): Promise<string[]> {
    return unawaited(this.#call('mget', () => fieldList('search.mget', fields)) as Promise<string[]>);
  }

  /** @returns how many of the fields there were. */
  del(...fields: readonly string[]): Promise<number> {
    return unawaited(this.#call('del', () => fieldList('search.del', fields)) as Promise<number>);
  }

  /**
   * Adds to a field; one that is not there counts as 0.
   *
   * @returns the sum. It is kept exactly; where it has more digits than a number holds, `get` gives all of them.
   * @throws {DocumentError} when the field holds text that is no number, or the sum would exceed the range of numbers.
   */
  incr(field: string, by: number): Promise<number> {
    return unawaited(
      this.#call('incr', () => [storedField('search.incr', field), finite('search.incr', by)]) as Promise<number>,
    );
  }

  /**
   * Multiplies a field; one that is not there counts as 1. Stores the product.
   *
   * @returns the product, as {@link incr} does.
   * @throws {DocumentError} as {@link incr}.
   */
  mult(field: string, by: number): Promise<number> {
    return unawaited(
      this.#call('mult', () => [storedField('search.mult', field), finite('search.mult', by)]) as Promise<number>,
    );
  }

  async #call(method: string, args: () => readonly unknown[]): Promise<unknown> {
    return (await this.#session.call(method, () => JSON.stringify(args()))).value;
  }

  /**
   * All user data of a workflow (not the fields with literal names); `{}` when there is none.
   *
   * @param engine What `client.getHotMeshClient` gives.
   */
  static async findAllUserData(jobId: string, engine: DocumentEngine): Promise<Record<string, string>> {
    checkWorkflowId('Search.findAllUserData', jobId);
    return await checkDocumentEngine('Search.findAllUserData', engine).userData(jobId);
  }

  /** Kept for programs that call it: there are no declared indexes. @returns `[]` */
  static async listSearchIndexes(_engine?: DocumentEngine): Promise<string[]> {
    return [];
  }

  /** Kept for programs that call it: search fields need no declaration. Does nothing. */
  static async configureSearchIndex(_engine?: DocumentEngine, _search?: unknown): Promise<void> {}
}

/**
 * Opens a session on the search fields of this workflow. It belongs to this execution.
 *
 * @example
 * const search = await Durable.workflow.search();
 * await search.set({ customer: 'c-1', state: 'open' });
 * const orders = await search.incr('orders', 1);
 */
export function search(): Promise<Search> {
  return unawaited(openSearch());
}

async function openSearch(): Promise<Search> {
  return new Search(new DocumentSession('search', 'search'));
}

/**
 * Sets search fields of this workflow, like `(await search()).set(fields)`.
 *
 * @returns `true`
 */
export function enrich(fields: Readonly<Record<string, SearchValue>>): Promise<true> {
  return unawaited(enrichFields(fields));
}

async function enrichFields(fields: unknown): Promise<true> {
  await setFields(new DocumentSession('search', 'enrich'), 'enrich', [fields]);
  return true;
}

function setFields(session: DocumentSession, call: string, given: readonly unknown[]): Promise<number> {
  const answer = session.call('set', () => JSON.stringify([searchTexts(call, givenFields(call, given), '')]), call);
  return unawaited(answer.then(({ args }) => Object.keys((JSON.parse(args) as [object])[0]).length));
}

/** The fields of `set`: the only argument, or names and values in turn. */
function givenFields(call: string, given: readonly unknown[]): Readonly<Record<string, unknown>> {
  const [first] = given;
  if (given.length === 1 && holdsFields(first)) return first;
  if (given.length === 0 || given.length % 2 === 1) {
    throw new InvalidArgumentError(
      `${call}: fields must be one object, or names and values in turn; got ${given.length} argument(s)`,
    );
  }
  const names = given.filter((_, index) => index % 2 === 0);
  return Object.fromEntries(names.map((name, index) => [storedField(call, name), given[2 * index + 1]]));
}

function fieldList(call: string, fields: readonly unknown[]): string[] {
  if (fields.length === 0) throw new InvalidArgumentError(`${call}: at least one field must be named`);
  return fields.map((field) => storedField(call, field));
}

function finite(call: string, by: unknown): number {
  if (typeof by === 'number' && Number.isFinite(by)) return by;
  throw refusal(call, 'by', { must: 'a finite number' }, by);
}
