/**
 * Brings a namespace's schema to this version, if it is older.
 *
 * Owns: deciding whether anything is to be done, and starting over when another process was faster.
 * Does not own: the SQL (migration-script.ts).
 */
import { ConnectionError, InvalidArgumentError, SchemaVersionError } from '../core/errors.js';
import { backoffMs } from './backoff.js';
import type { Database, Lane, QueryOptions } from './database.js';
import { functions, migrations } from './embedded-sql.js';
import { foldedNames, migrationStatements, type SchemaSource, versionOf } from './migration-script.js';
import { schemaName } from './namespace.js';
import { Patience } from './patience.js';
import { quoteIdentifier } from './quoting.js';
import { knownError, SqlError } from './sql-error.js';

/** The oldest library whose schema version still works with the schema of this one. Raised when old code is left behind. */
const OLDEST_CLIENT = 1;

const ours: SchemaSource = { migrations, functions, oldestClient: OLDEST_CLIENT };

/** Version of the schema that this library brings along: the number of its newest migration. */
export const SCHEMA_VERSION = versionOf(ours);

interface Found {
  readonly version: number;
  readonly oldest_client: number;
  readonly namespace: string;
}

/** The namespace has no schema, or none of ours, or one that is just being made. */
const NOT_THERE = new Set(['3F000', '42883']);
/** Somebody else created the role, schema or table at the same time, altered one of ours, or worked on a table that is to be altered. */
const RACE = new Set(['42P06', '42P07', '42710', '23505', '40001', '40P01', '55P03', 'XX000']);
/** XX000 may also be a real fault: not for ever. */
const MOST_RACES = 30;

/**
 * Makes sure that the namespace's schema is there and at least of this version. Nothing is written when it is. Any number of
 * processes may do this at once; they wait for the one that does the work.
 *
 * @returns whether it was to be made or upgraded. Of processes that begin at once several may say so.
 * @throws InvalidArgumentError when the name is not valid, or folds onto the schema of another namespace.
 * @throws SchemaVersionError when the schema is too new for this library.
 * @throws ConnectionError when the database does not answer within `giveUpAfterMs`.
 */
export async function migrate(
  database: Database,
  namespace: string,
  options: Pick<QueryOptions, 'giveUpAfterMs' | 'signal'> = {},
  source: SchemaSource = ours,
): Promise<boolean> {
  const schema = schemaName(namespace);
  let deployed = false;
  const statements = migrationStatements(source, namespace, schema);
  const patience = new Patience(options);
  const lane = database.lane('migrate');
  try {
    await patience.until(untilCurrent());
    return deployed;
  } finally {
    patience.end();
    await lane.close();
  }

  async function untilCurrent(): Promise<void> {
    for (let races = 1; ; races++) {
      const found = await read(lane, schema, options);
      if (found !== null && isCurrent(found, namespace, schema, source)) return;
      try {
        await lane.script(statements, options);
        deployed = true;
      } catch (error) {
        if (races > MOST_RACES || !isRace(error)) throw translated(error);
        patience.failed(error);
        await patience.pause(backoffMs(races, 5));
        patience.throwIfLost();
      }
    }
  }
}

/**
 * Makes sure that the schema is there and fits, without making it.
 *
 * @throws SchemaVersionError when it is missing, or of another version than this library works with.
 */
export async function assertMigrated(
  database: Database,
  namespace: string,
  options: Pick<QueryOptions, 'giveUpAfterMs' | 'signal'> = {},
): Promise<void> {
  const schema = schemaName(namespace);
  const lane = database.lane('migrate');
  try {
    const found = await read(lane, schema, options);
    if (found !== null && isCurrent(found, namespace, schema, ours)) return;
    throw new SchemaVersionError(
      `namespace "${namespace}" has ${found === null ? 'no schema' : `a schema of version ${found.version}`} and this library needs version ` +
        `${SCHEMA_VERSION}; a readonly connection makes none. Begin with a worker or a client that is not readonly`,
      { ...(found !== null && { database: found.version }), library: SCHEMA_VERSION },
    );
  } finally {
    await lane.close();
  }
}

/** The same SQL for a DBA, to be run by psql. Repeatable. */
export function migrationScript(namespace: string, source: SchemaSource = ours): string {
  const schema = schemaName(namespace);
  return `-- Perdure: schema of namespace "${namespace}", version ${versionOf(source)}. May be run again.
begin isolation level read committed;
${migrationStatements(source, namespace, schema)}
commit;
`;
}

async function read(lane: Lane, schema: string, options: QueryOptions): Promise<Found | null> {
  const text = `select version, oldest_client, namespace from ${quoteIdentifier(schema)}.schema_version()`;
  try {
    const [found] = await lane.query<Found>({ text, values: [] }, options);
    return found ?? null;
  } catch (error) {
    if (error instanceof SqlError && NOT_THERE.has(error.code)) return null;
    throw error;
  }
}

function isCurrent(found: Found, namespace: string, schema: string, source: SchemaSource): boolean {
  if (found.namespace !== namespace) throw new InvalidArgumentError(foldedNames(namespace, found.namespace, schema));
  const version = versionOf(source);
  if (version < found.oldest_client) {
    throw new SchemaVersionError(
      `the schema of namespace "${namespace}" has version ${found.version} and needs a library of schema version ` +
        `${found.oldest_client} or newer; this one has ${version}. Upgrade the library`,
      { database: found.version, library: version },
    );
  }
  return found.version >= version;
}

/** A connection that broke under the script left the work done or not: looking again tells. */
function isRace(error: unknown): boolean {
  return error instanceof ConnectionError || (error instanceof SqlError && RACE.has(error.code));
}

function translated(error: unknown): unknown {
  if (error instanceof SqlError && error.code === '55P03')
    return new ConnectionError(
      'the schema could not be upgraded: a transaction that is open for long holds one of its tables. End it (pg_stat_activity), then try again',
      { cause: error },
    );
  return knownError(error);
}
