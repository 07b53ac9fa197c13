-- Prolongs a worker's lease. False when the worker was declared dead, or is another role's: it must drop all it holds and register anew.
-- A scoped worker's ends within an hour, as register_worker has it: nobody has to wait longer for what it holds.
create or replace function renew_lease(p_worker_no int, p_lease_ms int) returns boolean
language plpgsql as $$
begin
  perform begin_write(true);
  update worker set lease_until = clock() + case when scoped then least(p_lease_ms, 3600000) else p_lease_ms end * interval '1 ms'
  where worker_no = p_worker_no and role = session_user and died_at is null;
  return found;
end $$;
