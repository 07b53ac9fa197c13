/**
 * A turn of one caller's queries on the PGlite object.
 *
 * After every call one macrotask passes. A query is one synchronous stretch that resolves in microtasks: a loop of
 * `await db.query()` made 1,235 calls in 1.5 s without a single timer, so leases would expire.
 */
import { setImmediate as macrotask } from 'node:timers/promises';
import { ConnectionError } from '../core/errors.js';
import { backoffMs } from './backoff.js';
import type { Lane, Query, QueryOptions, Row } from './database.js';
import { connectionError, Patience } from './patience.js';
import type { Opened } from './pglite-source.js';
import { isServerError, serverFailure } from './sql-error.js';
import { pgliteParameters } from './values.js';

const REPEAT = new Set(['40001', '40P01']);
const FIRST_REPEAT_MS = 5;

export class PgliteLane implements Lane {
  readonly #open: () => Promise<Opened>;
  readonly #leave: () => void;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;
  #opened = false;

  constructor(open: () => Promise<Opened>, leave: () => void) {
    this.#open = open;
    this.#leave = leave;
  }

  async query<R extends object = Row>(query: Query, options: QueryOptions = {}): Promise<R[]> {
    const values = pgliteParameters(query.values);
    return this.#inTurn(options, async ({ db, options: parsing }, patience) => {
      for (let failures = 1; ; failures++) {
        patience.throwIfLost();
        try {
          const { rows } = await db.query(query.text, values, parsing);
          return rows as R[];
        } catch (error) {
          if (!isServerError(error) || !REPEAT.has(error.code)) throw error;
          await patience.pause(backoffMs(failures, FIRST_REPEAT_MS));
        }
      }
    });
  }

  async script(sql: string, options: QueryOptions = {}): Promise<void> {
    await this.#inTurn(options, ({ db }) =>
      db.transaction((transaction) => transaction.exec(`set transaction isolation level read committed;\n${sql}`)),
    );
  }

  async readOnly(text: string, values: readonly unknown[], options: QueryOptions = {}): Promise<Row[]> {
    return await this.#inTurn(options, ({ db }) =>
      db.transaction(async (transaction) => {
        await transaction.exec('set transaction read only');
        return (await transaction.query(text, [...values], {})).rows as Row[];
      }),
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#leave();
    await this.#last;
  }

  async #inTurn<T>(options: QueryOptions, job: (opened: Opened, patience: Patience) => Promise<T>): Promise<T> {
    const patience = this.#patienceOf(options);
    const turn = this.#last.then(async () => {
      if (this.#closed) throw new ConnectionError('this lane was closed');
      patience.throwIfLost();
      const opened = await this.#open();
      try {
        return await job(opened, patience);
      } catch (error) {
        throw translated(error);
      } finally {
        await macrotask();
      }
    });
    this.#last = turn.catch(() => {});
    try {
      return await patience.until(turn);
    } finally {
      patience.end();
    }
  }

  /**
   * Nobody's limit runs while PGlite starts: that is work of this process (4 s of CPU time, more than 30 s where many
   * start at once), not an answer that may never come.
   */
  #patienceOf(options: QueryOptions): Patience {
    const { giveUpAfterMs, signal } = options;
    if (this.#opened || this.#closed || giveUpAfterMs === undefined) return new Patience(options);
    const patience = new Patience(signal === undefined ? {} : { signal });
    this.#open().then(
      () => {
        this.#opened = true;
        patience.giveUpAfter(giveUpAfterMs);
      },
      () => {}, // the turn fails with it
    );
    return patience;
  }
}

/** PGlite hangs statement and parameters onto its errors: payloads that a log of the cause would show. */
function translated(error: unknown): unknown {
  if (!isServerError(error))
    return error instanceof Error && error.name !== 'AbortError' ? connectionError(error) : error;
  const attached: { query?: unknown; params?: unknown; queryOptions?: unknown } = error as object;
  delete attached.query;
  delete attached.params;
  delete attached.queryOptions;
  return serverFailure(error);
}
