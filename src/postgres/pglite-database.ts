/**
 * The embedded database: one PGlite object, one process.
 *
 * All lanes share the object; it queues queries and keeps transactions apart. (Several `pg` clients over one PGlite do not:
 * one's query ran inside the other's transaction.)
 */
import { ConnectionError } from '../core/errors.js';
import { aborted, lent, NotCommitted } from './activity-transaction.js';
import type { Lane, Listener, Row, TransactionJob, TransactionOptions } from './database.js';
import { connectionError } from './patience.js';
import { PgliteLane } from './pglite-lane.js';
import type { Opened, PgliteSource } from './pglite-source.js';
import { SharedDatabase } from './shared-database.js';
import { isServerError, SqlError } from './sql-error.js';
import { pgliteParameters } from './values.js';

export class PgliteDatabase extends SharedDatabase {
  readonly kind = 'pglite';
  readonly #source: PgliteSource;
  readonly #lanes = new Set<PgliteLane>();
  readonly #listeners = new Set<Listener>();
  #opening: Promise<Opened> | null = null;
  #db: Opened['db'] | null = null;

  constructor(source: PgliteSource, closed: () => void = () => {}) {
    super(closed);
    this.#source = source;
  }

  lane(_purpose: string): Lane {
    this.assertOpen();
    const lane: PgliteLane = new PgliteLane(
      () => this.#open(),
      () => this.#lanes.delete(lane),
    );
    this.#lanes.add(lane);
    return lane;
  }

  /** Nobody else reaches the database meanwhile. What is under way in it cannot be given up, only its function. */
  async transaction({ mark, signal }: TransactionOptions, job: TransactionJob): Promise<Row[]> {
    this.assertOpen();
    const { db, options: parsing } = await this.#open();
    const abort = aborted(signal);
    let failure: { readonly reason: unknown } | null = null;
    try {
      return await db.transaction(async (transaction) => {
        await transaction.exec('set transaction isolation level read committed');
        await transaction.query(`select pg_catalog.set_config('perdure.activity', $1, true)`, [mark], {});
        const loan = lent(transaction);
        const last = await Promise.race([job(loan.client), abort.promise])
          .catch((reason: unknown) => {
            failure = { reason };
            throw reason;
          })
          .finally(() => loan.takeBack());
        return (await transaction.query(last.text, pgliteParameters(last.values), parsing)).rows as Row[];
      });
    } catch (error) {
      if (failure !== null) throw (failure as { readonly reason: unknown }).reason;
      const cause = isServerError(error) ? new SqlError(error) : error;
      throw new NotCommitted('a transaction was not committed', { cause });
    } finally {
      abort.forget();
    }
  }

  async listen(channel: string, heard: (payload: string) => void, reconnected: () => void): Promise<Listener> {
    this.assertOpen();
    const { db } = await this.#open();
    const unlisten = await db.listen(`"${channel}"`, heard);
    const listener: Listener = {
      close: async () => {
        if (this.#listeners.delete(listener)) await unlisten();
      },
    };
    this.#listeners.add(listener);
    reconnected();
    return listener;
  }

  protected async close(): Promise<void> {
    await Promise.all([...this.#lanes, ...this.#listeners].map((open) => open.close()));
    await this.#opening?.catch(() => {});
    await this.#source.close();
  }

  override isOn(db: object): boolean {
    return this.#db === db;
  }

  /** A failure is not kept: the folder may be free at the next call. */
  #open(): Promise<Opened> {
    this.#opening ??= this.#source.open().then(
      (opened) => {
        this.#db = opened.db;
        return opened;
      },
      (error: unknown) => {
        this.#opening = null;
        throw error instanceof ConnectionError ? error : connectionError(error);
      },
    );
    return this.#opening;
  }
}
