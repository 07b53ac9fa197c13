/**
 * What another thread needs to make a connection like a given one. A class and functions cannot be handed to it, options can.
 *
 * Owns: whether that will do. The class has to be that of the `pg` which the thread loads by itself: what a subclass or
 * another driver does, it would not do.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type ConnectionOptions, type ConnectionsByRole, shortForm } from './connection.js';
import { serversOf } from './host-list.js';
import { isPgPool } from './pg-driver.js';

export interface ThreadTarget {
  /** The file of `pg`. */
  readonly module: string;
  /** The options for each server. */
  readonly servers: readonly Readonly<Record<string, unknown>>[];
  /** What the program may have changed: `pg.defaults`, as far as it is plain. */
  readonly defaults: Readonly<Record<string, unknown>>;
}

/** Options of `pg` and its Pool that say nothing about how to reach a server. */
const BESIDE_THE_POINT = [
  'Client',
  'Promise',
  'types',
  'log',
  'verify',
  'onConnect',
  'max',
  'min',
  'maxUses',
  'maxLifetimeSeconds',
  'idleTimeoutMillis',
  'allowExitOnIdle',
];

interface Pg {
  readonly Client: unknown;
  readonly Pool: unknown;
  readonly defaults: object;
}

/** @returns why not, in words that follow "the connection", where another thread cannot make it. */
export function threadTarget(connection: ConnectionOptions | ConnectionsByRole): ThreadTarget | string {
  const { class: driver, options = {} } = shortForm(connection);
  const found = pgOf(driver);
  if (found === null)
    return 'is not by way of the Client or Pool of the pg that is found beside the engine or the program';
  const source: Readonly<Record<string, unknown>> = isPgPool(driver)
    ? { ...driver.options, ...hiddenOf(driver.options ?? {}) }
    : { ...options, ...hiddenOf(options) };
  const { Client: custom } = source;
  if (custom !== undefined && custom !== found.pg.Client) return 'has a Client of its own';
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(source)) {
    if (BESIDE_THE_POINT.includes(name) || value === undefined) continue;
    if (!isCloneable(value)) return `has an option that cannot be handed to a thread: ${name}`;
    plain[name] = value;
  }
  const { defaults } = found.pg;
  return {
    module: found.module,
    servers: serversOf(plain) ?? [plain],
    defaults: Object.fromEntries(
      Object.entries(defaults).filter(([, value]) => value !== undefined && isCloneable(value)),
    ),
  };
}

/** What `pg` hides from those who list the options, a Pool in its own, and both in an `ssl` that they were given. */
function hiddenOf(options: object): Record<string, unknown> {
  const { password, ssl } = options as { password?: unknown; ssl?: { key?: unknown } };
  const key = typeof ssl === 'object' && ssl !== null ? ssl.key : undefined;
  return {
    ...(password !== undefined && { password }),
    ...(key !== undefined && { ssl: { ...ssl, key } }),
  };
}

/** The `pg` that this class, or this Pool's class, is of. */
function pgOf(driver: unknown): { readonly module: string; readonly pg: Pg } | null {
  const wanted = isPgPool(driver) ? driver.constructor : driver;
  for (const place of [import.meta.url, process.argv[1], join(process.cwd(), 'program.js')]) {
    if (place === undefined) continue;
    try {
      const from = createRequire(place);
      const pg = from('pg') as Pg;
      if (wanted === pg.Client || wanted === pg.Pool) return { module: from.resolve('pg'), pg };
    } catch {
      // None there.
    }
  }
  return null;
}

function isCloneable(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}
