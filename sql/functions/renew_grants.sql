-- Gives the roles of this schema what their kinds may execute as of now: behind an upgrade, whose new functions nobody has a
-- right on yet. Roles that were dropped, or whose name another one has now, get nothing.
create or replace function renew_grants() returns void
language plpgsql as $$
declare
  v_role record;
begin
  for v_role in
    select x.role_name, x.kind
    from (
      select r.role_oid, r.role_name, 'scoped worker' as kind from worker_role r where r.revoked_at is null
      union all select r.role_oid, r.role_name, r.kind from access_role r) x
    where exists (select from pg_roles a where a.oid = x.role_oid and a.rolname = x.role_name)
    order by 1, 2
  loop
    perform grant_functions(v_role.role_name::name, v_role.kind);
    if v_role.kind in ('observer', 'dashboard') then
      perform grant_views(v_role.role_name::name);
    end if;
  end loop;
end $$;
