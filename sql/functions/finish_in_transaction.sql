-- Completes a transactional activity, as the last statement of the transaction in which the activity wrote: both are there, or
-- neither is. Answers hints.
-- p_mark: what the transaction was begun with (a local setting); without it the activity's code has ended the transaction.
-- p_lease_ms: prolongs the worker's lease, on an embedded database, whose one connection the transaction kept from doing so.
-- Raises PD001, PD002, PD006 (no such transaction any more), 40001 (not the task's current attempt): so it is rolled back.
-- Locks: as finish_tasks, behind whatever the activity's own statements locked: waits 5 s for a row, while the engine's other
-- calls give way after 100 ms.
create or replace function finish_in_transaction(
  p_mark text, p_worker_no int, p_lease_ms int, p_thread_no bigint, p_op int, p_epoch int, p_payload text
) returns text
language plpgsql as $$
declare
  v_hints text;
begin
  if coalesce(current_setting('perdure.activity', true), '') <> p_mark then
    raise exception 'a transactional activity ended its transaction by itself. Leave commit and rollback to the engine'
      using errcode = 'PD006';
  end if;
  if p_lease_ms is not null then
    perform renew_lease(p_worker_no, p_lease_ms);
  end if;
  v_hints := finish_tasks(p_worker_no, true, array[p_thread_no], array[p_op], array[p_epoch], array['done'], array[p_payload],
    array[0::double precision], array[null::text]);
  if v_hints is null then
    raise exception 'this attempt is not the current one any more' using errcode = '40001';
  end if;
  -- pause: finished
  return v_hints;
end $$;
