-- Lets a role do what its kind needs, and nothing else: 'client', 'worker' (any queue), 'observer' or 'dashboard'; docs/roles.md says
-- what that is. A role may have several. Upgrades renew it. Taken back by withdraw_access.
-- For the owner of the schema and superusers: select durable.grant_access('app', 'client'). Raises PD003.
create or replace function grant_access(p_role name, p_kind text) returns void
language plpgsql as $$
begin
  if p_kind is null or p_kind not in ('client', 'worker', 'observer', 'dashboard') then
    raise exception 'grant_access: kind must be client, worker, observer or dashboard; got %', left(p_kind, 80) using errcode = 'PD003';
  end if;
  if exists (select from worker_role r where r.role_oid = quote_ident(p_role)::regrole::oid) then
    raise exception 'grant_access: "%" is a worker role, and has no more than its queues. Use another role', p_role using errcode = 'PD003';
  end if;
  insert into access_role (role_oid, role_name, kind)
  values (quote_ident(p_role)::regrole::oid, p_role, p_kind) on conflict do nothing;
  perform grant_functions(p_role, p_kind);
  if p_kind in ('observer', 'dashboard') then
    perform grant_views(p_role);
  end if;
end $$;
