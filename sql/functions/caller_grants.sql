-- What the calling role was granted as a worker role. Its fields are null where it is none: then what it may do is what it may
-- execute. By session_user, which neither SET ROLE nor a setting changes.
create or replace function caller_grants() returns worker_role
language plpgsql stable as $$
declare
  v_grants worker_role;
begin
  select r.* into v_grants from worker_role r
  where r.role_oid = quote_ident(session_user)::regrole::oid;
  return v_grants;
end $$;
