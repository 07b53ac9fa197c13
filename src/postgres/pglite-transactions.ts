/**
 * Whether a call is made inside a transaction on the PGlite object that it needs itself.
 *
 * The object runs one thing at a time, so a call that is awaited there waits for the transaction, and that for the call.
 * Which transaction a call is made in only its async context knows; for that `transaction` of the object is wrapped.
 * It behaves as before.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Pglite } from './pglite-driver.js';

interface Transaction {
  readonly db: Pglite;
  /** Whether its function has not ended. What that left behind keeps its context for ever. */
  isOpen: boolean;
}

const inside = new AsyncLocalStorage<Transaction>();
const watched = new WeakSet<Pglite>();

/** From now on transactions on this object are known. */
export function watchTransactions(db: Pglite): void {
  if (watched.has(db)) return;
  watched.add(db);
  const transaction = db.transaction;
  const watching: Pglite['transaction'] = (job, ...rest) => {
    const known: typeof job = (handle) => {
      const here: Transaction = { db, isOpen: true };
      return inside.run(here, async () => {
        try {
          return await job(handle);
        } finally {
          here.isOpen = false;
        }
      });
    };
    return transaction.call(db, known as never, ...rest) as ReturnType<typeof job>;
  };
  Object.defineProperty(db, 'transaction', { value: watching, writable: true, configurable: true, enumerable: false });
}

/** The object in whose transaction this is called, or null. */
export function transactionHere(): Pglite | null {
  const here = inside.getStore();
  return here?.isOpen ? here.db : null;
}
