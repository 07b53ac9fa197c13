/**
 * The embedded database: one PGlite object, one process.
 *
 * All lanes share the object; it queues queries and keeps transactions apart. (Several `pg` clients over one PGlite do not:
 * one's query ran inside the other's transaction.)
 *
 * 1. After every call one macrotask passes. A query is one synchronous stretch that resolves in microtasks: a loop of
 *    `await db.query()` made 1,235 calls in 1.5 s without a single timer, so leases would expire.
 * 2. A data folder belongs to one process: pglite-folder-lock.ts.
 */
import { setImmediate as macrotask } from 'node:timers/promises';
import { ConnectionError } from '../core/errors.js';
import { backoffMs } from './backoff.js';
import type { Lane, Listener, Query, QueryOptions, Row } from './database.js';
import { connectionError, Patience } from './patience.js';
import type { Parsers, Pglite, PgliteClass } from './pglite-driver.js';
import { type FolderLock, lockFolder } from './pglite-folder-lock.js';
import { SharedDatabase } from './shared-database.js';
import { isServerError, SqlError } from './sql-error.js';
import { parserOf, pgliteParameters } from './values.js';

const REPEAT = new Set(['40001', '40P01']);
const FIRST_REPEAT_MS = 5;

interface Opened {
  readonly db: Pglite;
  /** How to have rows as from `pg`. PGlite by itself parses JSON, dates and arrays. */
  readonly options: { readonly parsers?: Parsers };
}

/** Opens the object on first use, and ends what that opened. */
interface Supply {
  open(): Promise<Opened>;
  close(): Promise<void>;
}

/** Parsers given with each query cost 0.25 ms of it (318 are copied), but a user's object keeps the user's parsers. */
export function pgliteFromInstance(db: Pglite): Supply {
  return {
    async open() {
      await db.waitReady;
      return { db, options: { parsers: plainParsers(db) } };
    },
    async close() {},
  };
}

export function pgliteFromClass(Class: PgliteClass, options: Record<string, unknown>): Supply {
  const folder = folderOf(options.dataDir);
  let opened: Pglite | null = null;
  let lock: FolderLock | null = null;
  return {
    async open() {
      lock = folder === null ? null : await lockFolder(folder);
      try {
        const db = new Class(options);
        await db.waitReady;
        Object.assign(db.parsers, plainParsers(db));
        opened = db;
        return { db, options: {} };
      } catch (error) {
        lock?.release();
        throw error;
      }
    },
    async close() {
      await opened?.close();
      lock?.release();
    },
  };
}

/** For every type it knows, arrays included. */
function plainParsers(db: Pglite): Parsers {
  const oids = Object.keys(db.parsers).map(Number).filter(Number.isInteger);
  return Object.fromEntries(oids.map((oid) => [oid, parserOf(oid)]));
}

/** The folder on disk that a `dataDir` means; null for a database in memory or in a file system of its own. */
export function folderOf(dataDir: unknown): string | null {
  if (typeof dataDir !== 'string' || dataDir === '') return null;
  if (dataDir.startsWith('file://')) return dataDir.slice('file://'.length);
  return /^[a-z0-9-]+:\/\//.test(dataDir) ? null : dataDir;
}

export class PgliteDatabase extends SharedDatabase {
  readonly kind = 'pglite';
  readonly #supply: Supply;
  readonly #lanes = new Set<PgliteLane>();
  readonly #listeners = new Set<Listener>();
  #opening: Promise<Opened> | null = null;

  constructor(supply: Supply, closed: () => void = () => {}) {
    super(closed);
    this.#supply = supply;
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
    await this.#supply.close();
  }

  /** A failure is not kept: the folder may be free at the next call. */
  #open(): Promise<Opened> {
    this.#opening ??= this.#supply.open().catch((error: unknown) => {
      this.#opening = null;
      throw error instanceof ConnectionError ? error : connectionError(error);
    });
    return this.#opening;
  }
}

class PgliteLane implements Lane {
  readonly #open: () => Promise<Opened>;
  readonly #leave: () => void;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

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

  async close(): Promise<void> {
    this.#closed = true;
    this.#leave();
    await this.#last;
  }

  async #inTurn<T>(options: QueryOptions, job: (opened: Opened, patience: Patience) => Promise<T>): Promise<T> {
    const patience = new Patience(options);
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
}

/** PGlite hangs statement and parameters onto its errors: payloads that a log of the cause would show. */
function translated(error: unknown): unknown {
  if (!isServerError(error))
    return error instanceof Error && error.name !== 'AbortError' ? connectionError(error) : error;
  const attached: { query?: unknown; params?: unknown; queryOptions?: unknown } = error as object;
  delete attached.query;
  delete attached.params;
  delete attached.queryOptions;
  return new SqlError(error);
}
