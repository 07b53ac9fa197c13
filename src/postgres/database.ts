/**
 * The one shape in which the rest of the engine sees a database.
 *
 * Owns: the words *database*, *lane*, *query*. Does not own: how a driver is recognised (connection.ts) or
 * what is asked (calls live beside their callers).
 *
 * A *lane* is one connection used serially. It lives for ever: when its connection breaks it connects again and
 * **sends the same query again**. That is sound because every query the engine sends is a single autocommit
 * statement whose second execution answers as the first did (docs/architecture.md, "Lost answers"). A lane never
 * looks up whether the first attempt arrived: of 150 calls cut right after sending, 2 were visible at once and all
 * 150 a moment later.
 */

/** An array parameter. Sent in Postgres' binary format by `pg`, as a plain array by PGlite. */
export interface ArrayParameter {
  readonly type: 'bool' | 'int2' | 'int4' | 'int8' | 'float8' | 'text';
  readonly items: readonly (boolean | number | string | null)[];
}

export type Parameter = ArrayParameter | string | number | boolean | null;

export interface Query {
  /** The statement; parameters are cast in the text (`$1::bigint[]`). */
  readonly text: string;
  /** Prepare under this name where the connection allows it. Only for the few hot calls. */
  readonly name?: string;
  readonly values: readonly Parameter[];
}

export interface QueryOptions {
  /** After this long without an answer the connection is dropped and the query is sent on a new one. Default 10,000. */
  readonly deadlineMs?: number;
  /**
   * Give up with `ConnectionError` when no answer came for this long, or at once when connecting fails for a reason that time
   * does not mend (wrong password, unknown database). Default: never.
   */
  readonly giveUpAfterMs?: number;
  /** Stop trying; rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A row. `int8` arrives as a JavaScript number (our numbers stay below 2^53), everything else as text, number, boolean or null. */
export type Row = Record<string, unknown>;

export interface Lane {
  query<R extends object = Row>(query: Query, options?: QueryOptions): Promise<R[]>;
  /**
   * Runs several statements in one READ COMMITTED transaction, all or nothing (migrations). Connecting is retried, the script is
   * not: a connection that breaks under it is a `ConnectionError`, and whether it took effect is open. Default deadline 10 min.
   */
  script(sql: string, options?: QueryOptions): Promise<void>;
  /**
   * Runs one statement of the user's in a READ ONLY transaction. Values and rows are the driver's own, unlike those of the
   * engine's queries: dates are `Date`, json is parsed.
   */
  readOnly(text: string, values: readonly unknown[], options?: QueryOptions): Promise<Row[]>;
  /** Ends the connection after the query under way. That one is not sent again, and those behind it are refused. */
  close(): Promise<void>;
}

/** Where a database says what it does on its own account. The shape is pino's. */
export interface DatabaseLogger {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
}

export interface Listener {
  close(): Promise<void>;
}

/** See activity-transaction.ts. */
export interface TransactionOptions {
  /** Stands in the transaction as the local setting `perdure.activity`, for its last statement to find. */
  readonly mark: string;
  /** How long one statement may take, and how long nothing may be asked; 0: no limit. Kept by the server. */
  readonly statementMs: number;
  readonly idleMs: number;
  /** Gives it up at once, whatever is under way. */
  readonly signal: AbortSignal;
}

/** What runs in it. @returns its last statement. What it throws rolls back, and is thrown on as it is. */
export type TransactionJob = (transaction: object) => Promise<Query>;

/** Runs a job and commits. @returns the rows of its last statement. @throws {NotCommitted} besides what the job throws. */
export type RunTransaction = (options: TransactionOptions, job: TransactionJob) => Promise<Row[]>;

export interface Database {
  readonly kind: 'pg' | 'pglite';
  /**
   * Opens a connection of its own for `purpose` (shown as application_name), or a share of one where a Pool has few to give.
   * Lazy: connects on the first query.
   *
   * @param repeated Told when a query was answered that had been sent before without an answer: what only the first answer said
   *   (hints) is lost.
   */
  lane(purpose: string, repeated?: () => void): Lane;
  /**
   * Calls `heard` with each payload on `channel`, and `reconnected` after each (re)connection, when notifications may
   * have been lost. Does not wait for the first connection. Resolves to null where the connection cannot listen
   * (transaction pooler, pool of fewer than 3).
   */
  listen(channel: string, heard: (payload: string) => void, reconnected: () => void): Promise<Listener | null>;
  /** Runs a user's function in a transaction on a connection of its own: see activity-transaction.ts. Never repeated. */
  readonly transaction: RunTransaction;
  /** One user less; the last one closes what the database itself opened (never a user's Pool or PGlite instance). */
  release(): Promise<void>;
}
