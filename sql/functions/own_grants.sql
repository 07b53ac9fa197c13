-- The grants under which the caller registers a worker: those of its worker role, or none where it may serve any queue. Who got
-- the right to execute by being a member of a worker role is neither. Raises 42501.
create or replace function own_grants() returns worker_role
language plpgsql stable as $$
declare
  v_grants worker_role := caller_grants();
begin
  if v_grants.revoked_at is not null or
    v_grants.role_no is null and not has_function_privilege(session_user, 'serve_any_queue()', 'execute') then
    raise exception 'role "%" may not run workers here. Provision it as a worker role', session_user using errcode = '42501';
  end if;
  return v_grants;
end $$;
