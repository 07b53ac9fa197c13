/**
 * Where the PGlite object comes from: the user's, or one of the user's class that is made on first use.
 *
 * A data folder belongs to one process: pglite-folder-lock.ts.
 */
import type { Parsers, Pglite, PgliteClass } from './pglite-driver.js';
import { type FolderLock, lockFolder } from './pglite-folder-lock.js';
import { watchTransactions } from './pglite-transactions.js';
import { parserOf } from './values.js';

export interface Opened {
  readonly db: Pglite;
  /** How to have rows as from `pg`. PGlite by itself parses JSON, dates and arrays. */
  readonly options: { readonly parsers?: Parsers };
}

/** Opens the object on first use, and ends what that opened. */
export interface PgliteSource {
  open(): Promise<Opened>;
  close(): Promise<void>;
}

/** Parsers given with each query cost 0.25 ms of it (318 are copied), but a user's object keeps the user's parsers. */
export function pgliteFromInstance(db: Pglite): PgliteSource {
  return {
    async open() {
      await db.waitReady;
      return { db, options: { parsers: plainParsers(db) } };
    },
    async close() {},
  };
}

export function pgliteFromClass(Class: PgliteClass, options: Record<string, unknown>): PgliteSource {
  const folder = folderOf(options.dataDir);
  let opened: Pglite | null = null;
  let lock: FolderLock | null = null;
  return {
    async open() {
      lock = folder === null ? null : await lockFolder(folder);
      try {
        const db = new Class(options);
        await db.waitReady;
        watchTransactions(db); // transactional activities run in some
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
