/**
 * One connection, used serially, that sends a query until it is answered. See the head of database.ts for why that is sound.
 *
 * Owns: what is done about each failure, the statement names, one caller's patience.
 * Does not own: the client (pg-connection.ts), which several lanes share where a Pool has few to give.
 */
import { ConnectionError } from '../core/errors.js';
import { backoffMs } from './backoff.js';
import type { Lane, Query, QueryOptions, Row } from './database.js';
import { connectionError, Patience } from './patience.js';
import type { PgConnection } from './pg-connection.js';
import type { PgClient, PgQuery } from './pg-driver.js';
import { mayPass, reactionTo } from './reaction.js';
import { isServerError, SqlError, serverFailure } from './sql-error.js';
import type { StatementNames } from './statement-names.js';
import { parserOf, pgParameters } from './values.js';

const DEADLINE_MS = 10_000;
/** A migration waits for another one to finish, and rewrites tables. */
const SCRIPT_DEADLINE_MS = 10 * 60_000;
/**
 * Deadlocks, serialization failures and connections that somebody ended are over at once; a full disk, or a query that ends its
 * server each time, is not, so the pauses grow. They hold up all who share the connection. A server that cannot be reached has a
 * pace of its own (connect-pacer.ts).
 */
const FIRST_REPEAT_MS = 5;
/**
 * A fault of the server's own is over after a moment or never, and nobody can tell. A second and a half: those who share the connection
 * wait too, and a caller that can wait by itself sends the query again (batcher.ts).
 */
const FIRST_RETRY_MS = 50;
const RETRIES = 5;
/** SQLSTATE of a write in a read-only transaction. */
const READ_ONLY = '25006';
const types = { getTypeParser: parserOf };

export class PgLane implements Lane {
  readonly #connection: PgConnection;
  readonly #names: StatementNames;
  readonly #leave: () => Promise<void>;
  readonly #restsWhenIdle: boolean;
  readonly #repeated: (() => void) | undefined;
  readonly #callers = new Set<Patience>();
  /** The caller whose query is on the wire. */
  #served: Patience | null = null;
  #closed = false;

  constructor(
    connection: PgConnection,
    names: StatementNames,
    leave: () => Promise<void>,
    restsWhenIdle: boolean,
    repeated?: () => void,
  ) {
    this.#connection = connection;
    this.#names = names;
    this.#leave = leave;
    this.#restsWhenIdle = restsWhenIdle;
    this.#repeated = repeated;
  }

  async query<R extends object = Row>(query: Query, options: QueryOptions = {}): Promise<R[]> {
    const values = pgParameters(query.values);
    const rows = await this.#serve(options, (patience) => {
      const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
      return this.#untilAnswered(query, values, deadlineMs, patience);
    });
    return rows as R[];
  }

  async script(sql: string, options: QueryOptions = {}): Promise<void> {
    await this.#serve(options, (patience) => this.#runScript(sql, options.deadlineMs ?? SCRIPT_DEADLINE_MS, patience));
  }

  async readOnly(text: string, values: readonly unknown[], options: QueryOptions = {}): Promise<Row[]> {
    const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    return await this.#serve(options, async (patience) => {
      for (let failures = 1; ; failures++) {
        const client = await this.#connect(deadlineMs, patience);
        try {
          return await this.#whileServed(patience, () =>
            this.#connection.sendReadOnly(client, { text, values, queryMode: 'extended' }, deadlineMs),
          );
        } catch (error) {
          // elsewhere the sign of a server that became a replica
          if (isServerError(error) && error.code === READ_ONLY) throw new SqlError(error);
          patience.failed(error);
          const pause = this.#react(error, false, failures);
          if (this.#closed) throw connectionError(error);
          if (pause > 0) await patience.pause(pause);
          patience.throwIfLost();
        }
      }
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const patience of this.#callers) {
      if (patience !== this.#served)
        patience.lose(new ConnectionError('the connection was closed before this call was sent'));
    }
    await this.#leave();
  }

  async #serve<T>(options: QueryOptions, job: (patience: Patience) => Promise<T>): Promise<T> {
    const patience = new Patience(options);
    this.#callers.add(patience);
    try {
      return await patience.until(this.#connection.inTurn(() => this.#turn(job, patience)));
    } finally {
      this.#callers.delete(patience);
      patience.end();
    }
  }

  async #turn<T>(job: (patience: Patience) => Promise<T>, patience: Patience): Promise<T> {
    patience.throwIfLost();
    if (this.#closed) throw new ConnectionError('this lane was closed');
    try {
      return await job(patience);
    } finally {
      // One job in the queue is this one.
      if (this.#restsWhenIdle) await this.#connection.restIfLast();
    }
  }

  async #untilAnswered(
    query: Query,
    values: PgQuery['values'],
    deadlineMs: number,
    patience: Patience,
  ): Promise<Row[]> {
    let isUnanswered = false;
    for (let failures = 1; ; failures++) {
      const client = await this.#connect(deadlineMs, patience);
      const name = this.#names.of(query);
      const sent: PgQuery = { text: query.text, ...(name !== undefined && { name }), values, types };
      try {
        const rows = await this.#whileServed(patience, () =>
          this.#connection.send(client, sent, deadlineMs, isUnanswered),
        );
        if (isUnanswered) this.#repeated?.();
        return rows;
      } catch (error) {
        patience.failed(error);
        const pause = this.#react(error, name !== undefined, failures);
        isUnanswered ||= reactionTo(error) === 'reconnect';
        if (this.#closed) throw connectionError(error);
        if (pause > 0) await patience.pause(pause);
        patience.throwIfLost();
      }
    }
  }

  /** Puts right what can be, and says how long to wait before the query is sent again; throws what is the caller's. */
  #react(error: unknown, named: boolean, failures: number): number {
    const reaction = reactionTo(error);
    if (reaction === 'reconnect') this.#connection.drop();
    if (reaction === 'reconnect' || reaction === 'repeat') return backoffMs(failures, FIRST_REPEAT_MS);
    if (reaction === 'retry' && failures <= RETRIES) return backoffMs(failures, FIRST_RETRY_MS);
    if (reaction === 'unprepare' && named) {
      this.#names.giveUp(error);
      return 0;
    }
    throw isServerError(error) ? serverFailure(error) : error;
  }

  async #connect(deadlineMs: number, patience: Patience): Promise<PgClient> {
    for (;;) {
      try {
        return await this.#connection.connected(deadlineMs, patience);
      } catch (error) {
        patience.throwIfLost();
        if (error instanceof ConnectionError) throw error;
        // Somebody who waits 30 s at most should not wait them for a wrong password. A worker goes on: it may be mended.
        if (patience.limited && !mayPass(error)) throw connectionError(error);
        patience.failed(error);
      }
    }
  }

  async #runScript(sql: string, deadlineMs: number, patience: Patience): Promise<void> {
    const client = await this.#connect(DEADLINE_MS, patience);
    const script = `begin isolation level read committed;\n${sql}\n;commit`;
    try {
      await this.#whileServed(patience, () => this.#connection.send(client, script, deadlineMs));
    } catch (error) {
      if (!isServerError(error) || reactionTo(error) === 'reconnect') {
        this.#connection.drop();
        throw connectionError(error);
      }
      // The server skipped the rest of the message, its `commit` included.
      await this.#connection.send(client, 'rollback', DEADLINE_MS).catch(() => this.#connection.drop());
      throw serverFailure(error);
    }
  }

  async #whileServed<T>(patience: Patience, job: () => Promise<T>): Promise<T> {
    this.#served = patience;
    try {
      return await job();
    } finally {
      this.#served = null;
    }
  }
}
