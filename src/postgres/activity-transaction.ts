/**
 * A transaction of the engine's own that a user's function may write in, on a connection that nobody else uses meanwhile.
 *
 * Owns: what the function is handed. Does not own: the connections (pg-transactions.ts, pglite-database.ts),
 * what is committed with it (worker/transactional-attempts.ts).
 *
 * 1. Its last statement, which records what the function did, travels with the commit as one message: a process that is
 *    stopped in between would hold the locks of both.
 * 2. The function's hold on the connection ends with the transaction: what it left behind reaches no later one.
 */
import { TransactionError } from '../core/errors.js';

/** The transaction could not be begun, ended or reached: not its function's fault. Whether it was committed may be open. */
export class NotCommitted extends Error {
  override readonly name = 'NotCommitted';
}

/** Methods that would end the connection, or hand it to others. */
const NOT_THEIRS = new Set<string | symbol>(['release', 'end', 'connect', 'rollback']);

/** The client as the function sees it. @returns with what takes it back. */
export function lent<T extends object>(client: T): { readonly client: T; takeBack(): void } {
  let isLent = true;
  const refused = (message: string) => () => Promise.reject(new TransactionError(message, 'ended'));
  const proxy = new Proxy(client, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      if (NOT_THEIRS.has(property))
        return refused(
          `transaction.${String(property)}(): this transaction ends with its activity; throw to roll back`,
        );
      return (...args: unknown[]) =>
        isLent
          ? (value.apply(target, args) as unknown)
          : refused('the transaction of this activity has ended. Await what you ask of it')();
    },
  });
  return {
    client: proxy,
    takeBack() {
      isLent = false;
    },
  };
}

/** Rejects with the signal's reason once it is aborted. */
export function aborted(signal: AbortSignal): { readonly promise: Promise<never>; forget(): void } {
  let abort: () => void = () => {};
  const promise = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
  promise.catch(() => {});
  return { promise, forget: () => signal.removeEventListener('abort', abort) };
}
