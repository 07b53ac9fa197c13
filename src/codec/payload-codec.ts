/**
 * The user's codec, e.g. encryption: text of payloads <-> the text that is stored of them.
 *
 * Payloads are plain in memory and *sealed* where they leave for the database: there they stand as
 * `{"perdure:sealed": <what the codec made>}`, valid JSON like any other payload. So sealed and plain payloads can be told
 * apart whenever a codec was registered or taken away. A user's own value that looks like that is stored as
 * `{"perdure:plain": <value>}`. Without a codec nothing is done but one look at the first characters of each text.
 *
 * What goes wrong is a {@link PayloadCodecError} that never carries content: not the text, nor the codec's own message.
 */

import { InvalidArgumentError, PayloadCodecError } from '../core/errors.js';
import { readField } from '../core/plain-data.js';

/** Turns JSON text into other text, and back. Both functions are synchronous; fetch keys before. */
export interface PayloadCodec {
  /** Text that {@link decode} turns into exactly `json`. May differ from call to call. */
  encode(json: string): string;
  /** Throws for what it did not make, or made with another key. */
  decode(text: string): string;
}

let registered: PayloadCodec | null = null;

/**
 * Sets the codec of this process: arguments, results, errors, headers, signals, emitted events and heartbeat details pass
 * it on their way to the database and back. null removes it. A connection with a `codec` of its own keeps to that.
 *
 * Search fields and entity documents stay plain, since SQL computes on them; so do names, ids, queues and times.
 * What was stored before stays readable, plain or encoded, as long as the codec that is registered can decode it. Where it
 * cannot, the call rejects or the workflow is blocked, with a PayloadCodecError; nothing is lost.
 *
 * @throws {InvalidArgumentError} for anything but null or two functions.
 *
 * @example
 * Durable.registerCodec({ encode: (json) => seal(json, key), decode: (text) => open(text, keys) });
 */
export function registerCodec(codec: PayloadCodec | null): void {
  registered = checkCodec('registerCodec', 'codec', codec);
}

/** @throws {InvalidArgumentError} for anything but null or two functions. */
export function checkCodec(call: string, field: string, codec: unknown): PayloadCodec | null {
  if (codec === null) return null;
  const { encode, decode } = (
    typeof codec === 'object' || typeof codec === 'function' ? codec : {}
  ) as Partial<PayloadCodec>;
  if (typeof encode === 'function' && typeof decode === 'function') return codec as PayloadCodec;
  throw new InvalidArgumentError(`${call}: ${field} must be null or an object with the functions encode and decode`);
}

const RESERVED = '{"perdure:';
const SEALED = 'perdure:sealed';
const PLAIN = 'perdure:plain';

/** A payload's text in its stored form: what would be mistaken for a sealed one is wrapped. */
export function storedForm(json: string): string {
  return json.startsWith(RESERVED) ? `{"${PLAIN}":${json}}` : json;
}

/** Whether a text may hold payloads that have to be opened. */
export function mayHoldSealed(text: string): boolean {
  return text.includes('"perdure:');
}

/** The codec of a connection or, where that says nothing, of the process. */
export class Seal {
  readonly #own: PayloadCodec | null | undefined;

  /** @param own Of a connection; null for none whatever is registered, undefined for what is registered. */
  constructor(own?: PayloadCodec | null) {
    this.#own = own;
  }

  get #codec(): PayloadCodec | null {
    return this.#own === undefined ? registered : this.#own;
  }

  /** Whether anything is sealed at all. */
  get active(): boolean {
    return this.#codec !== null;
  }

  /** What is stored of a payload's text. A sealed one stays as it is. @throws {PayloadCodecError} when the codec fails. */
  seal<T extends string | null>(json: T): T {
    const codec = this.#codec;
    if (codec === null || json === null || json.startsWith(`{"${SEALED}":`)) return json;
    return `{"${SEALED}":${JSON.stringify(run(codec, 'encode', json))}}` as T;
  }

  /** The stored form behind a parsed payload that may be sealed. @throws {PayloadCodecError} when it cannot be opened. */
  unsealed(stored: unknown): unknown {
    if (!has(stored, SEALED)) return stored;
    const encoded = stored[SEALED];
    const codec = this.#codec;
    if (codec === null)
      throw new PayloadCodecError('a stored payload was written with a codec, but none is registered here');
    if (typeof encoded !== 'string') throw unreadable('has no text');
    const text = run(codec, 'decode', encoded);
    try {
      return JSON.parse(text);
    } catch {
      throw unreadable(`became ${text.length} characters that are no JSON: the codec or its key is another one`);
    }
  }

  /** The value of a parsed payload, sealed or not. @throws {PayloadCodecError} when it cannot be opened. */
  open(stored: unknown): unknown {
    const value = this.unsealed(stored);
    return has(value, PLAIN) ? value[PLAIN] : value;
  }

  /** As {@link open}, for the text it was parsed from: most need not be looked into. */
  openParsed(text: string, parsed: unknown): unknown {
    return text.startsWith(RESERVED) ? this.open(parsed) : parsed;
  }
}

/** The codec of the process. */
export const registeredSeal = new Seal();

export function isSealed(stored: unknown): boolean {
  return has(stored, SEALED);
}

function has<K extends string>(stored: unknown, key: K): stored is Record<K, unknown> {
  return (
    typeof stored === 'object' && stored !== null && Object.hasOwn(stored, key) && Object.keys(stored).length === 1
  );
}

function run(codec: PayloadCodec, what: 'encode' | 'decode', text: string): string {
  let made: unknown;
  try {
    made = codec[what](text);
  } catch (error) {
    const did = what === 'encode' ? 'encode' : 'decode a stored';
    throw new PayloadCodecError(
      `the codec could not ${did} payload of ${text.length} characters: ${nameAndPlace(error)}. Is its key the right one?`,
    );
  }
  if (typeof made === 'string') return made;
  if (made instanceof Promise) made.catch(() => {}); // nobody will await it
  const got = made instanceof Promise ? 'a promise; it must be synchronous' : typeof made;
  throw new PayloadCodecError(`the codec's ${what} must return text; got ${got}`);
}

/** What is told of a codec's error: its class, code and place. Its message may quote what nobody should read. */
function nameAndPlace(error: unknown): string {
  if (!(error instanceof Error)) return 'something that is no Error was thrown';
  const [name, code, stack] = ['name', 'code', 'stack'].map((field) => readField(error, field));
  const text = typeof stack === 'string' ? stack : '';
  const place = /^ {4}at (.+)$/m.exec(text.slice(text.indexOf('\n    at ')))?.[1];
  return [
    typeof name === 'string' ? name : 'Error',
    typeof code === 'string' ? code : '',
    place === undefined ? '' : `at ${place}`,
  ]
    .filter(Boolean)
    .join(' ');
}

function unreadable(what: string): PayloadCodecError {
  return new PayloadCodecError(`a stored payload that a codec wrote ${what}`);
}
