/**
 * How long one caller waits for one query.
 *
 * Owns: the caller's limit (`giveUpAfterMs`), the caller's signal, and what both end: the promise the caller holds and the
 * pauses between attempts. Does not own the attempt under way: that goes on until its answer or its deadline, because the
 * connection is busy with it, whether somebody still waits or not.
 */
import { setMaxListeners } from 'node:events';
import { ConnectionError } from '../core/errors.js';
import type { QueryOptions } from './database.js';

export class Patience {
  /** Whether this caller gives up at all: only then is a failure to connect ever shown to it. */
  readonly limited: boolean;
  readonly #signal: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #onAbort = () => this.lose(this.#signal?.reason);
  readonly #losers = new Set<() => void>();
  #lost: { readonly reason: unknown } | null = null;
  #lastFailure: unknown;

  constructor({ giveUpAfterMs, signal }: Pick<QueryOptions, 'giveUpAfterMs' | 'signal'>) {
    this.limited = giveUpAfterMs !== undefined;
    this.#signal = signal;
    if (giveUpAfterMs !== undefined) this.giveUpAfter(giveUpAfterMs);
    if (signal?.aborted) {
      this.lose(signal.reason);
    } else if (signal !== undefined) {
      // One signal for all calls of a worker is no leak, but node warns of one from the eleventh listener on.
      setMaxListeners(0, signal);
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
  }

  get isLost(): boolean {
    return this.#lost !== null;
  }

  /** From now on. Without effect on a caller that waits no longer. */
  giveUpAfter(ms: number): void {
    if (this.isLost) return;
    const late = () => this.lose(connectionError(this.#lastFailure ?? new Error(`no answer within ${ms} ms`)));
    this.#timer = setTimeout(late, ms);
  }

  /** Remembered as the cause for when the caller gives up. */
  failed(error: unknown): void {
    this.#lastFailure = error;
  }

  /** The caller waits no longer and gets `reason`. */
  lose(reason: unknown): void {
    if (this.#lost !== null) return;
    this.#lost = { reason };
    for (const tell of this.#losers) tell();
  }

  throwIfLost(): void {
    if (this.#lost !== null) throw this.#lost.reason;
  }

  /** The promise's outcome, or the loss if that comes first. */
  until<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const lost = () => reject(this.#lost?.reason);
      if (this.isLost) lost();
      else this.#losers.add(lost);
      const done = () => this.#losers.delete(lost);
      promise.then(
        (value) => {
          done();
          resolve(value);
        },
        (error: unknown) => {
          done();
          reject(error);
        },
      );
    });
  }

  /** Waits; ends early when the caller is lost or `woken` holds and calls the given function. */
  pause(ms: number, woken?: Set<() => void>): Promise<void> {
    if (this.isLost) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#losers.delete(end);
        woken?.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#losers.add(end);
      woken?.add(end);
    });
  }

  /** Lets go of timer and signal. */
  end(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

/** What a caller that gives up sees. The text is the contract's; the driver's own message never holds the password. */
export function connectionError(cause: unknown): ConnectionError {
  return new ConnectionError(`postgres-provider-connection-failed: ${messageOf(cause)}`, { cause });
}

/** `localhost` has two addresses, so a refused connection is an AggregateError whose message is empty. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
