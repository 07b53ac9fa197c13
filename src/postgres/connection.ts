/**
 * From what the user passes as `connection` to a {@link Database}.
 *
 * Owns: recognising drivers by their shape, and which connections share one database in this process.
 */
import { existsSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { checkCodec, type PayloadCodec } from '../codec/payload-codec.js';
import { InsideTransactionError, InvalidArgumentError } from '../core/errors.js';
import { unknownOption } from '../core/nearest.js';
import { shownValue } from '../core/shown-value.js';
import type { Database, DatabaseLogger } from './database.js';
import { serversOf } from './host-list.js';
import { PgDatabase, supplyFromClass, supplyFromPool, supplyFromPoolClass } from './pg-database.js';
import { isPgClient, isPgClientClass, isPgPool, isPgPoolClass } from './pg-driver.js';
import { PgliteDatabase } from './pglite-database.js';
import { isPglite, isPgliteClass, type Pglite } from './pglite-driver.js';
import { folderOf, pgliteFromClass, pgliteFromInstance } from './pglite-source.js';
import { transactionHere, watchTransactions } from './pglite-transactions.js';
import type { SharedDatabase } from './shared-database.js';

/** How to reach a database. */
export interface ConnectionOptions {
  /** `Client` or `Pool` of `pg`, an instance of `Pool`, `PGlite`, or an instance of it. */
  readonly class: unknown;
  /**
   * Handed to the class; unused with an instance. Of `pg` they may name several servers, of which the one that takes writes is used:
   * `connectionString: 'postgres://a,b/app?target_session_attrs=read-write'`, or `host: 'a,b'`. See docs/high-availability.md.
   */
  readonly options?: Record<string, unknown>;
  /** A pooler in transaction mode (PgBouncer) is in between: statements stay unnamed, and polling replaces LISTEN. */
  readonly pooler?: 'transaction';
  /** What payloads pass on their way here and back; null: nothing. Default: what `registerCodec` set. */
  readonly codec?: PayloadCodec | null;
  /** Nothing is consumed by this connection: workers made with it run nothing, clients make no schema. Default false. */
  readonly readonly?: boolean;
  /** Accepted for compatibility, without effect: what the class is, is seen. */
  readonly provider?: string;
  /** Accepted for compatibility, without effect. */
  readonly retry?: unknown;
}

/** The long form, one connection per role. There is one role here: `store` is used, the others are not looked at. */
export interface ConnectionsByRole {
  readonly store: ConnectionOptions;
  readonly stream?: unknown;
  readonly sub?: unknown;
  readonly pub?: unknown;
  readonly search?: unknown;
  /** As `store.readonly`. */
  readonly readonly?: boolean;
}

/** A misspelt `readonly` would consume work. */
const OPTIONS = ['class', 'options', 'pooler', 'codec', 'readonly', 'provider', 'retry'];
const ROLES = ['store', 'stream', 'sub', 'pub', 'search', 'readonly'];

export interface OpenOptions {
  /** Of whoever opens a database first. */
  readonly logger?: DatabaseLogger;
}

/** What makes two connections the same database. */
interface Identity {
  readonly class: unknown;
  readonly pooler: string | undefined;
  /** Compared by identity: what declares a database in memory. Two of those are two databases, however alike their options. */
  readonly declaredBy: object | null;
  /** Compared by value: the options of `pg`, or the folder of PGlite. */
  readonly place: unknown;
  /** Where PGlite keeps its data on disk: of one database only. */
  readonly folder: string | null;
}

const open: { readonly identity: Identity; readonly database: SharedDatabase }[] = [];

/**
 * The database a connection stands for, connected on first use. Calls with the same connection in one process get the same
 * database; each of them releases it once.
 *
 * @throws InvalidArgumentError when `class` is nothing we know, or is a second PGlite on the folder of one that is open here.
 */
export function openDatabase(
  connection: ConnectionOptions | ConnectionsByRole,
  { logger }: OpenOptions = {},
): Database {
  const given = shortForm(connection);
  const identity = identityOf(given, given.options ?? connection);
  const known = open.find((entry) => isSame(entry.identity, identity));
  if (known !== undefined) return known.database.retain();
  assertFolderIsFree(identity);

  const closed = () => {
    open.splice(open.indexOf(entry), 1);
  };
  const entry = { identity, database: create(given, logger, closed) };
  open.push(entry);
  return entry.database;
}

/** The codec a connection brings along: null for none, undefined where it says nothing. */
export function codecOf(connection: ConnectionOptions | ConnectionsByRole): PayloadCodec | null | undefined {
  const given = ofStore(connection);
  // The rest of a connection is looked at when it is used.
  if (!isObject(given) || given.codec === undefined) return undefined;
  return checkCodec('connection', 'codec', given.codec);
}

/** Whether what uses the connection consumes no work, and makes no schema. */
export function isReadonly(connection: ConnectionOptions | ConnectionsByRole): boolean {
  const given = ofStore(connection);
  const flags = [connection, given].map((form) => (isObject(form) ? form.readonly : undefined));
  for (const flag of flags) {
    if (flag !== undefined && typeof flag !== 'boolean')
      throw new InvalidArgumentError(`connection: readonly must be true or false; got ${shownValue(flag)}`);
  }
  return flags.includes(true);
}

/** By which of the drivers a connection reaches its database. @throws InvalidArgumentError for anything else. */
export function providerOf(driver: unknown): 'postgres' | 'postgres.pool' | 'pglite' {
  if (isPglite(driver) || isPgliteClass(driver)) return 'pglite';
  if (isPgPool(driver) || isPgPoolClass(driver)) return 'postgres.pool';
  if (isPgClientClass(driver)) return 'postgres';
  throw unknownClass(isPgClient(driver) ? 'an instance of Client; pass the class' : described(driver));
}

/** Lets {@link assertReachable} know of transactions that the user opens on a PGlite object of their own. */
export function watchConnection(connection: ConnectionOptions | ConnectionsByRole): void {
  const db = pgliteOf(connection);
  if (db !== null) watchTransactions(db);
}

/** @throws {InsideTransactionError} where a call would wait for the transaction it is made in. */
export function assertReachable(connection: ConnectionOptions | ConnectionsByRole): void {
  const here = transactionHere();
  if (here !== null && leadsTo(connection, here)) throw new InsideTransactionError();
}

/** Whether a connection is to this PGlite object, the user's or one that was made of the class. */
function leadsTo(connection: ConnectionOptions | ConnectionsByRole, db: Pglite): boolean {
  const own = pgliteOf(connection);
  if (own !== null) return own === db;
  const given = shortForm(connection);
  const identity = identityOf(given, given.options ?? connection);
  return open.find((entry) => isSame(entry.identity, identity))?.database.isOn(db) ?? false;
}

function pgliteOf(connection: unknown): Pglite | null {
  const given = ofStore(connection);
  return isObject(given) && isPglite(given.class) ? given.class : null;
}

function ofStore(connection: unknown): unknown {
  return isObject(connection) && isObject(connection.store) ? connection.store : connection;
}

/** The connection that is used, looked at as far as it can be without a database. */
export function shortForm(connection: unknown): ConnectionOptions {
  const given = ofStore(connection);
  if (!isObject(given) || given.class === undefined) throw unknownClass('nothing');
  if (given !== connection) assertKnown(connection as object, ROLES);
  assertKnown(given, OPTIONS);
  isReadonly(connection as ConnectionOptions);
  const { class: driver, options, pooler, codec } = given;
  if (options !== undefined && !isObject(options))
    throw new InvalidArgumentError(`connection: options must be an object; got ${typeof options}`);
  if (pooler !== undefined && pooler !== 'transaction') {
    throw new InvalidArgumentError(`connection: pooler must be 'transaction' or absent; got ${JSON.stringify(pooler)}`);
  }
  if (isPgClientClass(driver) || isPgPoolClass(driver)) serversOf((options ?? {}) as Record<string, unknown>);
  return {
    class: driver,
    ...(options !== undefined && { options }),
    ...(pooler !== undefined && { pooler }),
    ...(codec !== undefined && { codec: codec as PayloadCodec | null }),
  };
}

function assertKnown(given: object, known: readonly string[]): void {
  const stranger = Object.entries(given).find(([key, value]) => value !== undefined && !known.includes(key));
  if (stranger !== undefined) throw unknownOption('connection', stranger[0], known);
}

/** Two PGlite objects on one folder damage it, also within one process. */
function assertFolderIsFree({ folder }: Identity): void {
  if (folder === null || !open.some(({ identity }) => identity.folder === folder)) return;
  throw new InvalidArgumentError(
    `connection: the PGlite folder ${folder} is open in this process by way of another class or object. ` +
      'Pass the same class with the same dataDir, or the same PGlite object, everywhere',
  );
}

function create(
  { class: driver, options = {}, pooler }: ConnectionOptions,
  logger: DatabaseLogger | undefined,
  closed: () => void,
): SharedDatabase {
  const pgOptions = { pooled: pooler === 'transaction', logger, closed };
  if (isPglite(driver)) return new PgliteDatabase(pgliteFromInstance(driver), closed);
  if (isPgliteClass(driver)) return new PgliteDatabase(pgliteFromClass(driver, options), closed);
  if (isPgPool(driver)) return new PgDatabase(supplyFromPool(driver), pgOptions);
  if (isPgPoolClass(driver)) return new PgDatabase(supplyFromPoolClass(driver, { ...options }), pgOptions);
  if (isPgClientClass(driver)) return new PgDatabase(supplyFromClass(driver, { ...options }), pgOptions);
  throw unknownClass(isPgClient(driver) ? 'an instance of Client; pass the class' : described(driver));
}

function identityOf({ class: driver, options = {}, pooler }: ConnectionOptions, declaredBy: object): Identity {
  const common = { class: driver, pooler, declaredBy: null, folder: null };
  if (isPglite(driver)) return { ...common, place: null, folder: canonicalFolder(driver.dataDir) };
  if (isPgPool(driver)) return { ...common, place: null };
  if (!isPgliteClass(driver)) return { ...common, place: { ...options } };
  const folder = canonicalFolder(options.dataDir);
  return folder === null ? { ...common, declaredBy, place: null } : { ...common, place: folder, folder };
}

function isSame(one: Identity, other: Identity): boolean {
  if (one.class !== other.class || one.pooler !== other.pooler || one.declaredBy !== other.declaredBy) return false;
  return isDeepStrictEqual(one.place, other.place);
}

function canonicalFolder(dataDir: unknown): string | null {
  const folder = folderOf(dataDir);
  if (folder === null) return null;
  return existsSync(folder) ? realpathSync(folder) : resolve(folder);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function described(driver: unknown): string {
  return typeof driver === 'function' ? `class ${driver.name || '(anonymous)'}` : typeof driver;
}

function unknownClass(got: string): InvalidArgumentError {
  return new InvalidArgumentError(
    'Unable to identify provider type: connection.class must be the Client or Pool class of pg, a Pool, ' +
      `the PGlite class or a PGlite; got ${got}`,
  );
}
