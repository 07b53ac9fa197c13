/**
 * A session on what the threads of a run share: its search fields, or its entity document. Each call is a durable operation that
 * the database carries out in the commit of its step, in the order of the calls; what it gave is stored with that step.
 *
 * Owns: the place of the calls, binding to one execution, refusals as errors. Does not own: what the methods mean (search.ts,
 * entity.ts; sql/functions/search_call.sql, entity_call.sql).
 */
import { DocumentError, PayloadTooLargeError, SharedPromiseError } from '../core/errors.js';
import { fingerprint } from '../core/fingerprint.js';
import type { Decision, DocumentCall } from '../core/history.js';
import type { Instance } from '../replay/instance.js';
import { contextOf } from './context.js';

/** What a call gave: `value` as the database has it; `args` as recorded, which count when code computes others in a replay. */
export interface DocumentAnswer {
  readonly value: unknown;
  readonly args: string;
}

/** A large value that a reading call gave: given again, it is not stored again. */
interface Seen {
  readonly op: number;
  readonly digest: string;
  readonly json: string;
}

const seenBy = new WeakMap<Instance, Map<string, Seen>>();

export class DocumentSession {
  readonly #kind: 'search' | 'entity';
  readonly #instance: Instance;
  readonly #counter: number;
  #calls = 0;

  /** @param call The function that opens the session, as the user wrote it. */
  constructor(kind: 'search' | 'entity', call: string) {
    const { instance } = contextOf(call);
    this.#kind = kind;
    this.#instance = instance;
    this.#counter = instance.tick();
  }

  /**
   * Not cancellable: it takes no longer than a commit.
   *
   * @param args Makes the JSON of the arguments, or refuses them; called once it is known that the call may be made here.
   * @param call The function as the user wrote it.
   */
  async call(method: string, args: () => string, call = `${this.#kind}.${method}`): Promise<DocumentAnswer> {
    const { instance } = contextOf(call);
    if (instance !== this.#instance) throw new SharedPromiseError(call);
    const text = args();
    const reading = method === 'get' || method === 'mget' ? `${this.#kind} ${method} ${text}` : null;
    const seen = reading === null ? undefined : seenBy.get(instance)?.get(reading);
    const spec: DocumentCall = { n: ++this.#calls, args: text, ...(seen !== undefined && { seen }) };
    const { event, command } = await instance.operation(
      { kind: this.#kind, name: method, fingerprint: fingerprint(`${method} ${text}`), counter: this.#counter, spec },
      { cancellable: false },
    );
    const decision: Decision = event.kind === 'decided' ? event.decision : { what: 'usual' };
    if (decision.what === 'refused') throw refusedCall(call, decision);
    const recorded = command.kind === this.#kind ? command.spec.args : text;
    if (decision.what === 'same') return { value: JSON.parse((seen as Seen).json), args: recorded };
    if (decision.what !== 'value') return { value: undefined, args: recorded };
    const { value, digest } = decision;
    if (reading !== null && digest !== undefined && event.kind === 'decided')
      this.#remember(reading, { op: event.op, digest, json: JSON.stringify(value) });
    return { value, args: recorded };
  }

  #remember(reading: string, seen: Seen): void {
    const known = seenBy.get(this.#instance) ?? new Map<string, Seen>();
    seenBy.set(this.#instance, known.set(reading, seen));
  }
}

function refusedCall(call: string, { why, at }: Extract<Decision, { what: 'refused' }>): Error {
  const where = at.length === 0 ? 'the document' : JSON.stringify(at.join('.'));
  switch (why) {
    case 'size':
      return new PayloadTooLargeError(
        `${call}: the document would grow beyond its limit; store large values elsewhere and keep references`,
      );
    case 'answers':
      return new PayloadTooLargeError(
        `${call}: what the calls of one step gave is too large together; await some of them`,
      );
    case 'range':
      return new DocumentError(
        `${call}: the number at ${where} would be too large, or have too many digits, to be kept`,
      );
    case 'index':
      return new DocumentError(`${call}: the array has no place ${where}; indexes count from 0 to its length`);
    default:
      return new DocumentError(
        `${call}: ${where} does not hold ${why === 'array' || why === 'object' ? 'an' : 'a'} ${why}`,
      );
  }
}
