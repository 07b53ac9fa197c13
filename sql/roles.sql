-- Roles without login for the schema of a namespace, one for each kind of program, to be granted to login roles:
--
--   psql -f sql/roles.sql
--   create role shop login password '...'; grant durable_client to shop;
--
-- Run it as a superuser, or as a role that may make roles and is a member of the schema's owner; behind the migration; any number
-- of times. For another namespace write its schema in the first line behind `declare`. docs/roles.md says what each may do.
-- Worker roles (Durable.provisionWorkerRole) are login roles of their own, for some queues only; they are not made here.
do $$
declare
  v_schema constant text := 'durable';
  v_kind text;
begin
  foreach v_kind in array '{client,worker,observer,dashboard}'::text[] loop
    if not exists (select from pg_catalog.pg_roles where rolname = v_schema || '_' || v_kind) then
      execute format('create role %I nologin', v_schema || '_' || v_kind);
    end if;
    execute format('select %I.grant_access(%L, %L)', v_schema, v_schema || '_' || v_kind, v_kind);
  end loop;
end $$;
