/** The part of `pg` that is used. Typed here and recognised by shape: `pg` is an optional peer and never imported. */
import type { Row } from './database.js';

export interface PgQuery {
  readonly text: string;
  readonly name?: string;
  readonly values: readonly (Buffer | string | null)[];
  readonly types: { getTypeParser(oid: number): (text: string) => unknown };
}

/** A statement of the user's: values and rows are as `pg` has them. */
export interface PgUserQuery {
  readonly text: string;
  readonly values: readonly unknown[];
  /** Also without values: only then Postgres takes one statement alone, which cannot end the transaction it runs in. */
  readonly queryMode: 'extended';
}

export interface PgClient {
  connect(): Promise<unknown>;
  query(query: PgQuery | PgUserQuery | string): Promise<{ readonly rows: Row[] }>;
  end(): Promise<unknown>;
  on(event: 'error', heard: (error: Error) => void): unknown;
  on(event: 'end', heard: () => void): unknown;
  on(event: 'notice', heard: (notice: { readonly routine?: string }) => void): unknown;
  on(event: 'notification', heard: (message: { readonly channel: string; readonly payload?: string }) => void): unknown;
  removeListener(event: 'error', heard: (error: Error) => void): unknown;
  /** Of the JavaScript client; the native one has none. */
  readonly connection?: { readonly stream?: { destroy(): void } };
}

export interface PooledClient extends PgClient {
  release(destroy?: boolean): void;
}

export interface PgPool {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly ending?: boolean;
  readonly options?: { readonly max?: number };
  connect(): Promise<PooledClient>;
  end(): Promise<unknown>;
  on(event: 'error', heard: (error: Error) => void): unknown;
  removeListener(event: 'error', heard: (error: Error) => void): unknown;
}

export type PgClientClass = new (options: Record<string, unknown>) => PgClient;
export type PgPoolClass = new (options: Record<string, unknown>) => PgPool;

export function isPgPool(value: unknown): value is PgPool {
  return (
    typeof value === 'object' &&
    value !== null &&
    'totalCount' in value &&
    'idleCount' in value &&
    hasMethods(value, ['connect'])
  );
}

export function isPgPoolClass(value: unknown): value is PgPoolClass {
  const prototype = prototypeOf(value);
  return prototype !== null && 'totalCount' in prototype && hasMethods(prototype, ['connect', 'end']);
}

export function isPgClientClass(value: unknown): value is PgClientClass {
  const prototype = prototypeOf(value);
  return prototype !== null && !('totalCount' in prototype) && hasMethods(prototype, ['connect', 'query', 'end']);
}

/** An instance where the class was meant. */
export function isPgClient(value: unknown): value is PgClient {
  return (
    typeof value === 'object' && value !== null && !isPgPool(value) && hasMethods(value, ['connect', 'query', 'end'])
  );
}

export function prototypeOf(value: unknown): object | null {
  if (typeof value !== 'function') return null;
  const prototype: unknown = value.prototype;
  return typeof prototype === 'object' ? prototype : null;
}

export function hasMethods(value: object, names: readonly string[]): boolean {
  return names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function');
}
