-- Lets a role execute the functions of a kind (role_functions), and reach the schema they are in. Nothing else: no table, no
-- sequence. Only the owner of the functions can, which this function runs as.
create or replace function grant_functions(p_role name, p_kind text) returns void
language plpgsql as $$
declare
  v_schema oid := (select c.relnamespace from pg_class c where c.oid = 'execution'::regclass);
  v_function text;
begin
  execute format('grant usage on schema %s to %I', v_schema::regnamespace, p_role);
  for v_function in
    select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = v_schema and p.proname = any(role_functions(p_kind)) order by 1
  loop
    execute format('grant execute on function %s to %I', v_function, p_role);
  end loop;
end $$;
