/** The part of PGlite that is used. Recognised by shape: PGlite is an optional peer and never imported. */
import { hasMethods, prototypeOf } from './pg-driver.js';

export type Parsers = Record<number | string, (text: string) => unknown>;

export interface PgliteTransaction {
  query(text: string, values: unknown[], options: { parsers?: Parsers }): Promise<{ readonly rows: unknown[] }>;
  exec(sql: string): Promise<unknown>;
}

export interface Pglite {
  /** By type oid; array types are added once it is ready. */
  readonly parsers: Parsers;
  readonly waitReady: Promise<void>;
  /** As it was given; none for a database in memory. */
  readonly dataDir?: string;
  query(text: string, values: unknown[], options: { parsers?: Parsers }): Promise<{ readonly rows: unknown[] }>;
  transaction<T>(job: (transaction: PgliteTransaction) => Promise<T>): Promise<T>;
  listen(channel: string, heard: (payload: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

export type PgliteClass = new (options: Record<string, unknown>) => Pglite;

const METHODS = ['query', 'transaction', 'listen', 'execProtocolRaw', 'close'];

export function isPglite(value: unknown): value is Pglite {
  return typeof value === 'object' && value !== null && hasMethods(value, METHODS);
}

export function isPgliteClass(value: unknown): value is PgliteClass {
  const prototype = prototypeOf(value);
  return prototype !== null && hasMethods(prototype, METHODS);
}
