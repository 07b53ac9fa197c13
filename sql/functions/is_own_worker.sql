-- Whether the worker's row is the calling role's. Locks nothing: for what only reads.
create or replace function is_own_worker(p_worker_no int) returns boolean
language plpgsql stable as $$
-- plans: index only
begin
  return exists (select from worker w where w.worker_no = p_worker_no and w.role = session_user);
end $$;
