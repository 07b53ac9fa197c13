-- Takes everything in this schema from a role.
create or replace function withdraw_grants(p_role name) returns void
language plpgsql as $$
declare
  v_schema oid := (select c.relnamespace from pg_class c where c.oid = 'execution'::regclass);
begin
  execute format('revoke all on all functions in schema %s from %I', v_schema::regnamespace, p_role);
  execute format('revoke all on all tables in schema %s from %I', v_schema::regnamespace, p_role);
  execute format('revoke all on schema %s from %I', v_schema::regnamespace, p_role);
end $$;
