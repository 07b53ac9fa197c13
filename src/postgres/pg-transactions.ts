/**
 * Transactions through `pg`: see activity-transaction.ts.
 *
 * Owns: their connections. A client of the user's Pool goes back to it, since nothing but local settings was set; those of
 * our own are kept for the next one, a few.
 */
import { aborted, lent, NotCommitted } from './activity-transaction.js';
import { type ClientSource, within } from './client-source.js';
import type { Parameter, Query, Row, TransactionJob, TransactionOptions } from './database.js';
import type { PgClient } from './pg-driver.js';
import { quoteText } from './quoting.js';
import { isServerError, SqlError } from './sql-error.js';

const DEADLINE_MS = 10_000;
/** Postgres waits for the locks of the last statement 5 s each. */
const COMMIT_DEADLINE_MS = 30_000;
const KEPT = 4;
/** SQLSTATE of a write in a read-only transaction. */
const READ_ONLY = '25006';
/** Of its settings in ms, Postgres takes no larger ones. */
const MOST_MS = 2 ** 31 - 1;

export class PgTransactions {
  readonly #source: ClientSource;
  readonly #idle: PgClient[] = [];
  #closed = false;

  constructor(source: ClientSource) {
    this.#source = source;
  }

  async run(options: TransactionOptions, job: TransactionJob): Promise<Row[]> {
    const client = await this.#begin(options);
    const loan = lent(client);
    const abort = aborted(options.signal);
    const aboutToEnd = () => this.#source.destroy(client);
    options.signal.addEventListener('abort', aboutToEnd, { once: true });
    try {
      const last = await this.#orRollBack(client, Promise.race([job(loan.client), abort.promise]), options.signal);
      loan.takeBack();
      return await this.#commit(client, last);
    } finally {
      loan.takeBack();
      abort.forget();
      options.signal.removeEventListener('abort', aboutToEnd);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#idle.splice(0).map((client) => this.#source.end(client)));
  }

  async #begin(options: TransactionOptions): Promise<PgClient> {
    // One that broke while it lay idle is found by its begin; a new one is made, once.
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      try {
        return await this.#begun(idle, options);
      } catch {
        this.#source.destroy(idle);
      }
    }
    let client: PgClient | null = null;
    try {
      client = await this.#source.open('transaction', DEADLINE_MS);
      return await this.#begun(client, options);
    } catch (error) {
      if (client !== null) this.#source.destroy(client);
      throw new NotCommitted('a transaction could not be begun', { cause: error });
    }
  }

  async #begun(client: PgClient, { mark, statementMs, idleMs, signal }: TransactionOptions): Promise<PgClient> {
    await within(
      DEADLINE_MS,
      client.query(`begin isolation level read committed;
set local statement_timeout = ${Math.min(MOST_MS, Math.ceil(statementMs))};
set local idle_in_transaction_session_timeout = ${Math.min(MOST_MS, Math.ceil(idleMs))};
select pg_catalog.set_config('perdure.activity', ${quoteText(mark)}, true);
do $$ begin
  set local client_connection_check_interval = '2s';
exception when others then null;
end $$`),
    );
    signal.throwIfAborted();
    return client;
  }

  /** What the job throws is thrown on when the transaction is rolled back. */
  async #orRollBack<T>(client: PgClient, job: Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await job;
    } catch (error) {
      if (!signal.aborted) await this.#rollBack(client, error);
      throw error;
    }
  }

  async #rollBack(client: PgClient, cause: unknown): Promise<void> {
    try {
      await within(DEADLINE_MS, client.query('rollback'));
      // The primary of before: kept, it would refuse the next transaction too.
      if (isServerError(cause) && cause.code === READ_ONLY) this.#source.destroy(client);
      else this.#keep(client);
    } catch {
      this.#source.destroy(client);
    }
  }

  async #commit(client: PgClient, last: Query): Promise<Row[]> {
    let results: unknown;
    try {
      results = await within(COMMIT_DEADLINE_MS, client.query(`${inlined(last)};\ncommit`));
    } catch (error) {
      const refused = isServerError(error);
      if (refused) await this.#rollBack(client, error);
      else this.#source.destroy(client);
      throw new NotCommitted('a transaction was not committed', { cause: refused ? new SqlError(error) : error });
    }
    this.#keep(client);
    return (results as { rows: Row[] }[])[0]?.rows ?? [];
  }

  #keep(client: PgClient): void {
    if (this.#source.giveBack !== undefined) this.#source.giveBack(client);
    else if (!this.#closed && this.#idle.length < KEPT) this.#idle.push(client);
    else void this.#source.end(client);
  }
}

/** Several statements of one message take no parameters. */
function inlined({ text, values }: Query): string {
  return text.replaceAll(/\$(\d+)/g, (_, n: string) => literal(values[Number(n) - 1] as Parameter));
}

function literal(value: Parameter): string {
  if (typeof value === 'object' && value !== null) throw new TypeError('an array cannot be written into a statement');
  return value === null ? 'null' : quoteText(String(value));
}
