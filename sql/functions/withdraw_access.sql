-- Takes from a role whatever grant_access gave it. Its sessions go on, and can do nothing here.
-- For the owner of the schema and superusers.
create or replace function withdraw_access(p_role name) returns void
language plpgsql as $$
begin
  delete from access_role r where r.role_oid = quote_ident(p_role)::regrole::oid;
  perform withdraw_grants(p_role);
  perform retire_workers_of(p_role);
end $$;
