/**
 * The SQL that brings one namespace's schema to this version: what `migrate` runs and what is printed for a DBA.
 *
 * 1. Everything is decided inside, behind a lock on the schema's own table, so it may run any number of times and in twenty
 *    processes at once. Before the lock things are only created: of two that create at once one fails and starts over.
 *    (Two that alter at once fail with "tuple concurrently updated".)
 * 2. Functions are re-applied only when the schema is older: old and new code share a database, and the old one must not put its
 *    functions back.
 *    Roles that were granted functions get the new ones with them (renew_grants).
 * 3. No function is ever executable by PUBLIC, and none belongs to a superuser, if a superuser migrates.
 */
import { dollarQuote, quoteIdentifier, quoteLiteral } from './quoting.js';

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
}

export interface FunctionFile {
  readonly name: string;
  readonly sql: string;
}

/** What a version of the library brings along. */
export interface SchemaSource {
  /** Numbered from 1 without a gap. The highest number is the version. */
  readonly migrations: readonly Migration[];
  readonly functions: readonly FunctionFile[];
  /** The oldest library version that still works with this schema. */
  readonly oldestClient: number;
}

/** The function of a file with this text never scans or hashes a whole table; the file says which plan forced it. */
const INDEX_PLANS_MARK = '-- plans: index only';

/** A function of a file with this text keeps the caller's rights and path, so that it is inlined: it touches no table. */
const INLINED_MARK = '-- inlined';

/** How long a migration waits for a table at a time. */
const LOCK_TIMEOUT_MS = 1_000;

export function versionOf({ migrations }: SchemaSource): number {
  return migrations.at(-1)?.number ?? 0;
}

/** Statements for one READ COMMITTED transaction. */
export function migrationStatements(source: SchemaSource, namespace: string, schema: string): string {
  return `set local client_min_messages to warning;

-- The schema, and who owns what is in it.
do ${dollarQuote(owner(schema))};

set local search_path to ${quoteIdentifier(schema)}, pg_catalog, pg_temp;
-- Functions may call each other in any order of files.
set local check_function_bodies to off;

create table if not exists schema_info (
  singleton boolean primary key default true check (singleton),
  namespace text not null,
  version integer not null,
  oldest_client integer not null,
  applied jsonb not null default '[]'
);
lock table schema_info in access exclusive mode;

do ${dollarQuote(apply(source, namespace, schema))};
`;
}

/**
 * A superuser's objects go to a role of their own: a SECURITY DEFINER function runs with all rights of its owner. Anybody else
 * owns what they create. Later migrations act as the schema's owner.
 */
function owner(schema: string): string {
  const role = quoteIdentifier(`${schema}_owner`);
  return `
declare
  v_superuser boolean := (select rolsuper from pg_catalog.pg_roles where rolname = current_user);
  v_owner name;
  v_owner_is_superuser boolean;
begin
  select r.rolname, r.rolsuper
  into v_owner, v_owner_is_superuser
  from pg_catalog.pg_namespace n
  join pg_catalog.pg_roles r on r.oid = n.nspowner
  where n.nspname = ${quoteLiteral(schema)};

  if v_superuser and (v_owner is null or v_owner_is_superuser) then
    if not exists (select from pg_catalog.pg_roles where rolname = ${quoteLiteral(`${schema}_owner`)}) then
      create role ${role} nologin;
    elsif exists (select from pg_catalog.pg_roles where rolname = ${quoteLiteral(`${schema}_owner`)} and (rolsuper or rolcanlogin)) then
      raise exception 'role ${schema}_owner exists and is a superuser or may log in; the owner of the functions must be neither'
        using errcode = 'PD003';
    end if;
    if v_owner is null then
      create schema ${quoteIdentifier(schema)} authorization ${role};
    else
      alter schema ${quoteIdentifier(schema)} owner to ${role};
    end if;
    set local role ${role};
  elsif v_owner is null then
    create schema ${quoteIdentifier(schema)};
  elsif not v_owner_is_superuser and pg_catalog.pg_has_role(v_owner, 'member') then
    execute pg_catalog.format('set local role %I', v_owner);
  end if;
end `;
}

function apply(source: SchemaSource, namespace: string, schema: string): string {
  const version = versionOf(source);
  return `
declare
  v_version integer;
  v_oldest integer;
  v_behind text;
  v_namespace text;
  v_routine record;
begin
  insert into schema_info (namespace, version, oldest_client)
  values (${quoteLiteral(namespace)}, 0, 0)
  on conflict do nothing;
  select s.version, s.oldest_client, s.namespace into v_version, v_oldest, v_namespace from schema_info s;

  if v_namespace <> ${quoteLiteral(namespace)} then
    raise exception ${quoteLiteral(foldedNames('%', '%', schema))}, ${quoteLiteral(namespace)}, v_namespace
      using errcode = 'PD003';
  end if;
  if v_version >= ${version} then
    return;
  end if;
  -- Whoever waits for a table holds up all who come behind it: after a second it lets them go first, and starts over.
  set local lock_timeout = ${LOCK_TIMEOUT_MS};

  if v_version > 0 and v_oldest < ${source.oldestClient} then
${refuseWorkersBehind(source)}
  end if;

  revoke all on schema ${quoteIdentifier(schema)} from public;
  if current_user = ${quoteLiteral(`${schema}_owner`)} then
    -- For the whole role: with "in schema" the statement does nothing, as PUBLIC's right does not come from there.
    alter default privileges revoke execute on functions from public;
  end if;

${source.migrations.map(applyMigration).join('\n')}
${source.functions.map(({ name, sql }) => `  -- ${name}\n  execute ${dollarQuote(sql)};`).join('\n')}
  execute ${dollarQuote(SCHEMA_VERSION_FUNCTION)};
${harden(source, schema)}
  if to_regprocedure('renew_grants()') is not null then
    perform renew_grants();
  end if;
  update schema_info
  set version = ${version}, oldest_client = ${source.oldestClient};
end `;
}

/**
 * A worker whose library knows nothing of this schema would go on, and fail call by call. The lock is held to the end: a worker that
 * registers meanwhile waits, and is then refused by register_worker.
 */
function refuseWorkersBehind({ oldestClient }: SchemaSource): string {
  return `    lock table worker in share row exclusive mode;
    select string_agg(w.description, ', ') into v_behind from (
      select w.description from worker w
      where w.died_at is null and w.lease_until > clock() and coalesce(w.schema_version, 0) < ${oldestClient}
      order by w.worker_no limit 5
    ) w;
    if v_behind is not null then
      raise exception 'this version of the schema needs libraries of schema version ${oldestClient} or newer, and older workers are alive: %. Stop them first', v_behind
        using errcode = 'PD005';
    end if;`;
}

function applyMigration({ number, name, sql }: Migration): string {
  const label = quoteLiteral(name);
  return `  if v_version < ${number} then
    execute ${dollarQuote(sql)};
    update schema_info
    set applied = applied || jsonb_build_object('number', ${number}, 'name', ${label}, 'at', clock_timestamp());
  end if;`;
}

/** What every process asks first. */
const SCHEMA_VERSION_FUNCTION = `
create or replace function schema_version(out version integer, out oldest_client integer, out namespace text)
language sql
stable
as $$
  select s.version, s.oldest_client, s.namespace from schema_info s
$$`;

/** `clock` and what is marked so keep the caller's rights and path, and are called by functions that do not. */
function harden({ functions }: SchemaSource, schema: string): string {
  const marked = (mark: string) =>
    functions.filter(({ sql }) => sql.includes(mark)).map(({ name }) => quoteLiteral(name));
  const indexPlans = marked(INDEX_PLANS_MARK);
  const inlined = ["'clock'", ...marked(INLINED_MARK)];
  return `
  for v_routine in
    select p.oid::regprocedure::text as name, p.proname <> all (array[${inlined.join(', ')}]::name[]) as is_definer,
      p.prosrc like '%perform begin_write(%' as sets_lock_timeout,
      p.proname = any (array[${indexPlans.join(', ')}]::name[]) as has_index_plans
    from pg_proc p
    where p.pronamespace = ${quoteLiteral(quoteIdentifier(schema))}::regnamespace
    and p.prokind in ('f', 'p')
  loop
    execute format('revoke all on routine %s from public', v_routine.name);
    if v_routine.is_definer then
      execute format(
        'alter routine %s security definer set search_path = pg_catalog, %I, pg_temp', v_routine.name, ${quoteLiteral(schema)}
      );
    end if;
    if v_routine.is_definer then
      -- A statement without an index counts as ruinous under enable_seqscan = off, and would be compiled at each execution:
      -- 9.4 ms a signal instead of 1.5.
      execute format('alter routine %s set jit = off', v_routine.name);
    end if;
    if v_routine.sets_lock_timeout then
      -- begin_write sets it; with this clause a caller's own setting is back when the call ends.
      execute format('alter routine %s set lock_timeout = 100', v_routine.name);
    end if;
    if v_routine.has_index_plans then
      execute format('alter routine %s set enable_seqscan = off', v_routine.name);
      execute format('alter routine %s set enable_hashjoin = off', v_routine.name);
      execute format('alter routine %s set enable_mergejoin = off', v_routine.name);
      -- Their plans are fixed by their form; made anew for each small array they cost half of a one-step workflow.
      execute format('alter routine %s set plan_cache_mode = force_generic_plan', v_routine.name);
    elsif v_routine.is_definer then
      -- Plans made for one call hold its values, of rows too that the caller may not read; and any caller may have plans
      -- printed to itself. Generic plans, above, hold none.
      execute format('alter routine %s set debug_print_plan = off', v_routine.name);
    end if;
  end loop;
`;
}

/** Two namespaces on one schema would share every table. */
export function foldedNames(namespace: string, holder: string, schema: string): string {
  return `namespace "${namespace}" cannot be used: its schema "${schema}" belongs to namespace "${holder}". Spell it like that, or choose another name`;
}
