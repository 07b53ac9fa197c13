/**
 * Worker roles: database roles that run workers of some queues, and can do nothing else. docs/roles.md says what that means.
 *
 * Owns: making, rotating and revoking the login roles, and their names. Does not own: what a role may do, which the functions of
 * the schema decide from who calls them (sql/functions/role_functions.sql and what is named there).
 *
 * A password stays in this process: what is sent is a verifier, from which nobody can log in.
 */
import { createHash, randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { InvalidArgumentError, PermissionError } from '../core/errors.js';
import { flag, identifier, parseOptions } from '../core/options.js';
import { type ConnectionOptions, type ConnectionsByRole, openDatabase } from '../postgres/connection.js';
import type { Lane } from '../postgres/database.js';
import { assertMigrated } from '../postgres/migrate.js';
import { schemaName } from '../postgres/namespace.js';
import {
  endPrepared,
  endSessions,
  fetchDatabaseName,
  fetchRole,
  fetchSchemaOwner,
  fetchWorkerRoles,
  retireWorkersOf,
  type WorkerRoleRow,
} from '../postgres/protocol/roles.js';
import { quoteIdentifier, quoteText } from '../postgres/quoting.js';
import { scramVerifier } from '../postgres/scram.js';
import { knownError, SqlError } from '../postgres/sql-error.js';

interface RoleOptions {
  /** As a superuser, or as a role that may make roles and is a member of the schema's owner. */
  readonly connection: ConnectionOptions | ConnectionsByRole;
  /** Default `'durable'`. Its schema must be there. */
  readonly namespace?: string;
}

export interface ProvisionWorkerRoleOptions extends RoleOptions {
  /**
   * What its workers serve: `'orders'` for the workflows of a task queue, `'orders-activity'` for its activities. At least one;
   * each is granted separately.
   */
  readonly streamNames: readonly string[];
  /** What its workflows may start work on beside that, in the same words. Activities of the queues it serves are included. Default none. */
  readonly callNames?: readonly string[];
  /** Whether its workflows may `signal` whoever waits in the namespace, on whatever queue. Default false. */
  readonly signals?: boolean;
  /** 8 to 200 printable ASCII characters. Default: a random UUID. */
  readonly password?: string;
}

export interface RotateWorkerPasswordOptions extends RoleOptions {
  readonly roleName: string;
  /** 8 to 200 printable ASCII characters. Default: a random UUID. */
  readonly newPassword?: string;
}

export interface RevokeWorkerRoleOptions extends RoleOptions {
  readonly roleName: string;
}

/** A worker role, as {@link listWorkerRoles} has it. No password and no verifier. */
export interface WorkerRole {
  readonly id: number;
  readonly roleName: string;
  readonly streamNames: readonly string[];
  readonly callNames: readonly string[];
  readonly signals: boolean;
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
  readonly lastRotatedAt: Date | null;
}

const PATIENCE = { giveUpAfterMs: 30_000 };
/** Two that provision the same queues at once: the second finds what the first made. */
const RACE = new Set(['42710', '23505', 'XX000', '40001', '40P01']);
const MOST_RACES = 10;
/** How often sessions are looked for: one that just logged in may not show yet. */
const MOST_LOOKS = 50;
const LOOK_EVERY_MS = 100;
/** What Postgres keeps of a name, in bytes. */
const MOST_NAME_BYTES = 63;

const password = v.custom<string>(
  (value) => typeof value === 'string' && /^[\x20-\x7e]{8,200}$/.test(value),
  'text of 8 to 200 printable ASCII characters',
);
const names = v.array(identifier, 'a list of stream names');
const common = { connection: v.unknown(), namespace: v.optional(v.string('text')) };
const provisionShape = v.strictObject({
  ...common,
  streamNames: v.pipe(names, v.minLength(1, 'a list of at least one stream name')),
  callNames: v.optional(names),
  signals: v.optional(flag),
  password: v.optional(v.unknown()),
});
const rotateShape = v.strictObject({ ...common, roleName: v.string('text'), newPassword: v.optional(v.unknown()) });
const revokeShape = v.strictObject({ ...common, roleName: v.string('text') });
const listShape = v.strictObject(common);

/**
 * Makes a database role that may run workers of these queues, and do nothing else: pass what it resolves to as
 * `workerCredentials`. Called again for the same queues it gives the same role a new password, and makes good that it was revoked;
 * its workers that run go on, unless it was. Settings of the role (`alter role ... set`), which it can make itself, begin anew.
 *
 * @throws {InvalidArgumentError} for an empty list, a bad name or password.
 * @throws {PermissionError} when the connection's role may not make roles, or does not own the schema.
 * @throws {SchemaVersionError} when the namespace has no schema yet.
 *
 * @example
 * const workerCredentials = await Durable.provisionWorkerRole({ connection, streamNames: ['orders', 'orders-activity'] });
 * await Durable.Worker.create({ connection, workerCredentials, taskQueue: 'orders', workflow });
 */
export async function provisionWorkerRole(
  options: ProvisionWorkerRoleOptions,
): Promise<{ roleName: string; password: string }> {
  const given = parseOptions('provisionWorkerRole', provisionShape, options);
  const { namespace = 'durable', callNames = [], signals = false } = given;
  const secret = passwordOf('provisionWorkerRole', 'password', given.password);
  const streams = sorted(given.streamNames);
  const verifier = await scramVerifier(secret);
  return await asAdmin(options.connection, namespace, async (lane, schema) => {
    for (let races = 1; ; races++) {
      const { roleName, isNew, note, database } = await nameFor(lane, namespace, schema, given.streamNames);
      const owner = quoteIdentifier(await fetchSchemaOwner(lane, schema, PATIENCE));
      const role = quoteIdentifier(roleName);
      const grants = [quoteText(roleName), listOf(streams), listOf(sorted(callNames)), String(signals)];
      try {
        await lane.script(
          `${isNew ? `create role ${role} noinherit` : `alter role ${role}`} login password ${quoteText(verifier)};
          ${isNew ? '' : `alter role ${role} reset all; alter role ${role} in database ${quoteIdentifier(database)} reset all;`}
          alter role ${role} set idle_in_transaction_session_timeout = '30s';
          comment on role ${role} is ${quoteText(note)};
          grant ${role} to ${owner};
          select ${quoteIdentifier(schema)}.grant_worker_role(${grants.join(', ')});`,
          PATIENCE,
        );
        return { roleName, password: secret };
      } catch (error) {
        if (races > MOST_RACES || !(error instanceof SqlError && RACE.has(error.code))) throw error;
      }
    }
  });
}

/**
 * Gives a worker role another password. Sessions that are open go on; who connects from now on needs the new one.
 *
 * @throws {InvalidArgumentError} for a bad password, a role that is none of the namespace's worker roles, or was revoked.
 * @throws {PermissionError} as {@link provisionWorkerRole}.
 */
export async function rotateWorkerPassword(options: RotateWorkerPasswordOptions): Promise<{ password: string }> {
  const { namespace = 'durable', roleName, newPassword } = parseOptions('rotateWorkerPassword', rotateShape, options);
  const secret = passwordOf('rotateWorkerPassword', 'newPassword', newPassword);
  const verifier = await scramVerifier(secret);
  await asAdmin(options.connection, namespace, async (lane, schema) => {
    const known = await knownRole('rotateWorkerPassword', lane, schema, namespace, roleName);
    if (known.revoked_ms !== null || known.gone) {
      const what = known.gone ? 'dropped' : 'revoked';
      throw new InvalidArgumentError(`rotateWorkerPassword: role "${roleName}" was ${what}. Provision it again`);
    }
    await lane.script(
      `alter role ${quoteIdentifier(roleName)} password ${quoteText(verifier)};
      select ${quoteIdentifier(schema)}.note_rotation(${quoteText(roleName)});`,
      PATIENCE,
    );
  });
  return { password: secret };
}

/**
 * Takes from a worker role all it was granted, lets it log in no more and ends its sessions. What its workers held goes to others.
 * When this resolves nothing that the role sends is accepted any more. The role and its row in {@link listWorkerRoles} stay. Idempotent.
 *
 * @throws {InvalidArgumentError} for a role that is none of the namespace's worker roles.
 * @throws {PermissionError} as {@link provisionWorkerRole}; also when its sessions, or transactions that it prepared for a two-phase
 *   commit, may not be ended (those only by a superuser): they can do nothing more then, but hold their locks.
 */
export async function revokeWorkerRole(options: RevokeWorkerRoleOptions): Promise<void> {
  const { namespace = 'durable', roleName } = parseOptions('revokeWorkerRole', revokeShape, options);
  await asAdmin(options.connection, namespace, async (lane, schema) => {
    const { gone } = await knownRole('revokeWorkerRole', lane, schema, namespace, roleName);
    if (gone) return;
    await lane.script(
      `alter role ${quoteIdentifier(roleName)} nologin;
      select ${quoteIdentifier(schema)}.revoke_worker_role(${quoteText(roleName)});`,
      PATIENCE,
    );
    try {
      await endAllSessions(lane, roleName);
      await endPrepared(lane, roleName, PATIENCE);
    } finally {
      await retireWorkersOf(lane, schema, roleName, PATIENCE);
    }
  });
}

/** The worker roles of a namespace, oldest first; also those that were revoked. */
export async function listWorkerRoles(options: RoleOptions): Promise<WorkerRole[]> {
  const { namespace = 'durable' } = parseOptions('listWorkerRoles', listShape, options);
  const rows = await asAdmin(options.connection, namespace, (lane, schema) => fetchWorkerRoles(lane, schema, PATIENCE));
  return rows.map((row) => ({
    id: row.role_no,
    roleName: row.role_name,
    streamNames: JSON.parse(row.stream_names) as string[],
    callNames: JSON.parse(row.call_names) as string[],
    signals: row.signals,
    createdAt: new Date(row.created_ms),
    revokedAt: row.revoked_ms === null ? null : new Date(row.revoked_ms),
    lastRotatedAt: row.rotated_ms === null ? null : new Date(row.rotated_ms),
  }));
}

/** Two looks without a session: what was logging in when the role was closed is ended too. */
async function endAllSessions(lane: Lane, roleName: string): Promise<void> {
  for (let looks = 0, quiet = 0; quiet < 2; looks++) {
    const found = await endSessions(lane, roleName, PATIENCE);
    quiet = found === 0 ? quiet + 1 : 0;
    if (quiet < 2) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS / (1 + quiet)));
    if (looks > MOST_LOOKS)
      throw new PermissionError(`revokeWorkerRole: sessions of role "${roleName}" do not end. It has no right left`);
  }
}

/**
 * The role of these queues, or the name for it: `hmsh_wrk_<namespace>_<queues>`, with a digest behind it where the name would be
 * too long, or is that of another role: `a-b` and `a_b` fold alike, and roles belong to all databases of a cluster.
 */
async function nameFor(
  lane: Lane,
  namespace: string,
  schema: string,
  streamNames: readonly string[],
): Promise<{ roleName: string; isNew: boolean; note: string; database: string }> {
  const database = await fetchDatabaseName(lane, PATIENCE);
  const streams = JSON.stringify(sorted(streamNames));
  const note = `Perdure worker role of namespace ${namespace} in database ${database}: ${streams}`;
  const rows = await fetchWorkerRoles(lane, schema, PATIENCE);
  const known = rows.find((row) => !row.gone && row.stream_names === streams);
  if (known !== undefined) return { roleName: known.role_name, isNew: false, note, database };
  const plain = `hmsh_wrk_${schema}_${streamNames.map((each) => each.replace(/[^A-Za-z0-9]/g, '_')).join('__')}`;
  const digest = createHash('sha256').update(note).digest('hex').slice(0, 16);
  const digested = `${plain.slice(0, MOST_NAME_BYTES - digest.length - 1)}_${digest}`;
  for (const roleName of plain.length <= MOST_NAME_BYTES ? [plain, digested] : [digested]) {
    const role = await fetchRole(lane, roleName, PATIENCE);
    // One with our note is left from a schema that was dropped.
    if (role === null || role.note === note) return { roleName, isNew: role === null, note, database };
  }
  throw new InvalidArgumentError(
    `provisionWorkerRole: role "${digested}" is there and is no worker role of this namespace. Drop it, or rename it`,
  );
}

async function knownRole(
  call: string,
  lane: Lane,
  schema: string,
  namespace: string,
  roleName: string,
): Promise<WorkerRoleRow> {
  const rows = await fetchWorkerRoles(lane, schema, PATIENCE);
  const known = rows.findLast((row) => row.role_name === roleName);
  if (known !== undefined) return known;
  throw new InvalidArgumentError(
    `${call}: roleName must be a worker role of namespace "${namespace}"; got "${roleName.slice(0, 80)}". See listWorkerRoles`,
  );
}

async function asAdmin<T>(
  connection: RoleOptions['connection'],
  namespace: string,
  work: (lane: Lane, schema: string) => Promise<T>,
): Promise<T> {
  const schema = schemaName(namespace);
  const database = openDatabase(connection);
  try {
    await assertMigrated(database, namespace, PATIENCE);
    const lane = database.lane('roles');
    try {
      return await work(lane, schema);
    } finally {
      await lane.close();
    }
  } catch (error) {
    throw knownError(error);
  } finally {
    await database.release();
  }
}

/** A bad password is named, never shown. */
function passwordOf(call: string, field: string, given: unknown): string {
  if (given === undefined) return randomUUID();
  if (v.is(password, given)) return given;
  throw new InvalidArgumentError(`${call}: ${field} must be text of 8 to 200 printable ASCII characters`);
}

function listOf(texts: readonly string[]): string {
  return `array[${texts.map(quoteText).join(', ')}]::text[]`;
}

function sorted(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}
