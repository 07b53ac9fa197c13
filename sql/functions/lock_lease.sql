-- Asserts that the worker is alive, and keeps it so until the transaction ends.
-- The reaper takes FOR UPDATE, which this excludes; the renewal updates no key column, so the two do not wait for
-- each other. The lease is read after the lock, against the running clock: now() is the start of the transaction, and
-- after a lock wait an expired lease would pass.
-- Locks: own worker. Raises PD002.
create or replace function lock_lease(p_worker_no int) returns void
language plpgsql as $$
declare
  v_lease_until timestamptz;
begin
  select w.lease_until into v_lease_until
  from worker w where w.worker_no = p_worker_no and w.died_at is null
  for key share;
  if v_lease_until is null or v_lease_until <= clock() then
    raise exception 'worker % has lost its lease', p_worker_no using errcode = 'PD002';
  end if;
end $$;
