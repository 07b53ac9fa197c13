-- Asserts that the worker is alive, and keeps it so until the transaction ends. Answers the services of a scoped worker, which
-- has no others; null: it is not scoped, and may do everything.
-- A worker's row belongs to the role that registered it. Another one's is as one that is not there: who must not see it does
-- not learn either whether it is.
-- The reaper takes FOR UPDATE, which this excludes; the renewal updates no key column, so the two do not wait for
-- each other. The lease is read after the lock, against the running clock: now() is the start of the transaction, and
-- after a lock wait an expired lease would pass.
-- Locks: own worker. Raises PD002.
create or replace function lock_lease(p_worker_no int) returns int[]
language plpgsql as $$
declare
  v_lease_until timestamptz;
  v_scope int[];
begin
  select w.lease_until, case when w.scoped then w.services end into v_lease_until, v_scope
  from worker w where w.worker_no = p_worker_no and w.role = session_user and w.died_at is null
  for key share;
  if v_lease_until is null or v_lease_until <= clock() then
    raise exception 'worker % has lost its lease', p_worker_no using errcode = 'PD002';
  end if;
  return v_scope;
end $$;
