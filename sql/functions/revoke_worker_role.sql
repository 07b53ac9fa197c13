-- Takes from a worker role all it was granted. The role stays, and so does the row that says what it was. Whoever calls this
-- ends its sessions and then calls retire_workers_of: a call that is under way ends as it would have.
-- Answers the role's oid; null: it is no worker role of this schema.
create or replace function revoke_worker_role(p_role name) returns bigint
language plpgsql as $$
declare
  v_oid oid;
begin
  perform begin_write(true);
  update worker_role r set revoked_at = coalesce(r.revoked_at, clock())
  where r.role_oid = quote_ident(p_role)::regrole::oid returning r.role_oid into v_oid;
  if v_oid is not null then
    perform withdraw_grants(p_role);
  end if;
  return v_oid::bigint;
end $$;
