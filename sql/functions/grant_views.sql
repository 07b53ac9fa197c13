-- Lets a role read the views (runs, workflows, threads, activities, timers, signals_waiting, signals_kept, workers), and nothing
-- else. For the owner of the schema and superusers: select durable.grant_views('reporting').
create or replace function grant_views(p_role name) returns void
language plpgsql as $$
declare
  v_schema name := (
    select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = 'execution'::regclass);
  v_view name;
begin
  execute format('grant usage on schema %I to %I', v_schema, p_role);
  for v_view in select viewname from pg_views where schemaname = v_schema order by 1 loop
    execute format('grant select on %I.%I to %I', v_schema, v_view, p_role);
  end loop;
end $$;
