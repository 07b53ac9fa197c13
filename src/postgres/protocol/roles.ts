/** Calls about worker roles. */

import type { Lane, QueryOptions } from '../database.js';
import { quoteText } from '../quoting.js';
import { call, text } from './call.js';

/** What a worker role was granted. */
export interface Grants {
  /** Stream names: a task queue, for its workflows, or a task queue and `-activity`. */
  readonly streams: readonly string[];
  /** Those its workflows may start work on beside that. */
  readonly calls: readonly string[];
  /** Whether its workflows may signal whoever waits in the namespace. */
  readonly signals: boolean;
}

/** @returns null for a role that serves any queue. */
export async function fetchOwnGrants(lane: Lane, schema: string, options?: QueryOptions): Promise<Grants | null> {
  const [row] = await lane.query<{ my_grants: string | null }>(call(schema, 'my_grants', []), options);
  return JSON.parse(row?.my_grants ?? 'null') as Grants | null;
}

export interface WorkerRoleRow {
  readonly role_no: number;
  readonly role_name: string;
  /** JSON. */
  readonly stream_names: string;
  readonly call_names: string;
  readonly signals: boolean;
  /** It was dropped. */
  readonly gone: boolean;
  readonly created_ms: number;
  readonly revoked_ms: number | null;
  readonly rotated_ms: number | null;
}

export function fetchWorkerRoles(lane: Lane, schema: string, options?: QueryOptions): Promise<WorkerRoleRow[]> {
  return lane.query<WorkerRoleRow>(call(schema, 'list_worker_roles', []), options);
}

/** A role of the cluster, with what is noted about it; null: there is none. */
export async function fetchRole(
  lane: Lane,
  roleName: string,
  options?: QueryOptions,
): Promise<{ note: string | null } | null> {
  const query = {
    text: `select shobj_description(r.oid, 'pg_authid') as note from pg_catalog.pg_roles r where r.rolname = $1`,
    values: [roleName],
  };
  return (await lane.query<{ note: string | null }>(query, options))[0] ?? null;
}

export async function fetchDatabaseName(lane: Lane, options?: QueryOptions): Promise<string> {
  const query = { text: 'select current_database()::text as name', values: [] };
  return (await lane.query<{ name: string }>(query, options))[0]?.name ?? '';
}

/** Who owns the schema and the functions in it. */
export async function fetchSchemaOwner(lane: Lane, schema: string, options?: QueryOptions): Promise<string> {
  const query = {
    text: 'select pg_catalog.pg_get_userbyid(n.nspowner)::text as name from pg_catalog.pg_namespace n where n.nspname = $1',
    values: [schema],
  };
  return (await lane.query<{ name: string }>(query, options))[0]?.name ?? '';
}

/** Ends the sessions of a role. @returns how many there were. */
export async function endSessions(lane: Lane, roleName: string, options?: QueryOptions): Promise<number> {
  const query = {
    text: `select count(pg_catalog.pg_terminate_backend(a.pid))::int as count
      from pg_catalog.pg_stat_activity a where a.usename = $1`,
    values: [roleName],
  };
  return (await lane.query<{ count: number }>(query, options))[0]?.count ?? 0;
}

/** Rolls back what a role prepared for a two-phase commit: that outlives its sessions, with all locks. */
export async function endPrepared(lane: Lane, roleName: string, options?: QueryOptions): Promise<void> {
  const query = {
    text: `select p.gid from pg_catalog.pg_prepared_xacts p
      where p.owner = $1::text::name and p.database = pg_catalog.current_database()`,
    values: [roleName],
  };
  for (const { gid } of await lane.query<{ gid: string }>(query, options)) {
    await lane.query({ text: `rollback prepared ${quoteText(gid)}`, values: [] }, options);
  }
}

/** Declares the workers of a role dead. */
export async function retireWorkersOf(
  lane: Lane,
  schema: string,
  roleName: string,
  options?: QueryOptions,
): Promise<void> {
  await lane.query(call(schema, 'retire_workers_of', [text(roleName)]), options);
}
