/**
 * A transaction that the user's own code began, on a connection of its own.
 *
 * Owns: what is accepted as one, asking through it, and finding out what it is. Does not own: what is asked
 * (protocol/caller-transactions.ts).
 *
 * 1. Nothing here begins, commits or rolls back.
 * 2. What can be known beforehand (no transaction, another database, another isolation level) is found out by a query that
 *    cannot fail: an error would abort the user's transaction.
 * 3. Texts hold `$1`, `$2`, ... once each, in this order, and parameters are texts or null: some libraries put parameters
 *    between pieces of text.
 */
import { randomUUID } from 'node:crypto';
import { errorFromSqlState, InvalidArgumentError, IsolationLevelError, TransactionError } from '../core/errors.js';
import { refusal } from '../core/refusal.js';
import { isPgPool } from './pg-driver.js';
import { isPglite } from './pglite-driver.js';

/**
 * Your own transaction, for calls that take part in it: the client of `pg` on which you said `begin`, the object that PGlite's
 * `transaction` hands you, or what asks through your library (docs/transactions.md has it for Drizzle, Kysely, Prisma and
 * postgres.js, a line each).
 */
export interface CallerTransaction {
  /** Runs one statement with `$1`, `$2`, ... on the transaction's connection. */
  query(text: string, values: (string | null)[]): Promise<{ readonly rows: readonly unknown[] }>;
}

type Row = Record<string, string | null>;

/** @throws {InvalidArgumentError} for what can be no transaction, e.g. a Pool. */
export function checkTransaction(call: string, value: unknown): CallerTransaction {
  const todo =
    'Pass the client on which you began the transaction, or an object { query(text, values) } that asks through it';
  if (isPgPool(value)) throw refused(call, 'a Pool, of which each query may take another connection', todo);
  if (isPglite(value)) throw refused(call, 'a PGlite', 'Pass the object that its transaction() hands you');
  if (typeof value === 'object' && value !== null && 'query' in value && typeof value.query === 'function')
    return value as CallerTransaction;
  throw refusal(call, 'transaction', { must: 'a client inside its transaction', todo }, value);
}

function refused(call: string, got: string, todo: string): InvalidArgumentError {
  return new InvalidArgumentError(`${call}: transaction must be a client inside its transaction; got ${got}. ${todo}`);
}

/** Where a database is: alike for two connections exactly if they reach the same one, until its server starts anew. */
export const PLACE = `(select d.oid::text from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
  || ' ' || extract(epoch from pg_catalog.pg_postmaster_start_time())::text`;

const WHAT_IT_IS = `select pg_catalog.set_config('perdure.transaction', $1::text, true) as mark,
  pg_catalog.current_setting('transaction_isolation') as isolation,
  pg_catalog.current_setting('transaction_read_only') as read_only,
  ${PLACE} as place`;

/** One call's part in a transaction of the user's. */
export interface Joined {
  /** Stands in the transaction from now on, and nowhere else: calls look for it before they do anything. */
  readonly mark: string;
  ask(text: string, values: readonly (string | null)[]): Promise<Row[]>;
}

/**
 * @param ownPlace Where our own connections lead; asked anew when the first answer differs: the server may have been restarted.
 * @throws {IsolationLevelError} when it is not READ COMMITTED.
 * @throws {TransactionError} when it may not write, or is in another database. That there is none is found by the call.
 */
export async function joinTransaction(
  call: string,
  transaction: CallerTransaction,
  ownPlace: (anew: boolean) => Promise<string>,
): Promise<Joined> {
  const mark = randomUUID();
  const ask: Joined['ask'] = (text, values) => rowsOf(call, transaction, text, values);
  const [found] = await ask(WHAT_IT_IS, [mark]);
  if (found?.isolation !== 'read committed') {
    throw new IsolationLevelError(
      `${call}: the transaction runs at isolation level ${found?.isolation}, Perdure needs read committed. Begin it so, or make the call outside of it`,
    );
  }
  if (found.read_only !== 'off')
    throw new TransactionError(`${call}: the transaction is read only. Begin it read write`, 'readOnly');
  if (found.place !== (await ownPlace(false)) && found.place !== (await ownPlace(true))) {
    throw new TransactionError(
      `${call}: the transaction is in another database than this client. Pass a transaction of the database that the client's connection leads to`,
      'elsewhere',
    );
  }
  return { mark, ask };
}

async function rowsOf(
  call: string,
  transaction: CallerTransaction,
  text: string,
  values: readonly (string | null)[],
): Promise<Row[]> {
  let result: unknown;
  try {
    result = await transaction.query(text, [...values]);
  } catch (error) {
    throw ourError(error) ?? error; // the user's connection, hence the driver's own errors
  }
  const { rows } = (result ?? {}) as { rows?: unknown };
  if (Array.isArray(rows)) return rows as Row[];
  throw refusal(call, 'transaction.query', { must: 'a function that resolves to { rows: [...] }' }, result);
}

/** An error that a function of ours raised, however the user's library wraps it. */
function ourError(error: unknown, depth = 0): Error | null {
  if (typeof error !== 'object' || error === null || depth > 4) return null;
  const { code, message, cause, meta } = error as {
    code?: unknown;
    message?: unknown;
    cause?: unknown;
    meta?: unknown;
  };
  if (typeof code === 'string' && /^PD\d{3}$/.test(code)) return errorFromSqlState(code, String(message));
  return ourError(cause, depth + 1) ?? ourError(meta, depth + 1);
}
