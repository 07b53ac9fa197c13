-- Opens every function that writes.
-- * Parking and delivering see each other only in READ COMMITTED: REPEATABLE READ parks over a fresh inbox.
-- * A function's own `set synchronous_commit` clause ends before the commit; set_config in the body does not.
-- * A row held by a caller's open transaction must not stall the batch: give up after 100 ms (55P03); the caller sends
--   the held item again, patiently, on another connection.
-- Raises PD001.
create or replace function begin_write(p_patient boolean) returns void
language plpgsql as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the transaction runs at isolation level %, Perdure needs read committed',
      current_setting('transaction_isolation') using errcode = 'PD001';
  end if;
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  perform set_config('lock_timeout', case when p_patient then '5000' else '100' end, true);
end $$;
