-- Sends one signal in a caller's transaction. p_mark, and what is answered besides signal's statuses: see start_in_transaction.
-- p_item: the fields of SignalItem.
-- Locks: as signal; held until the caller's transaction ends.
create or replace function signal_in_transaction(p_mark text, p_item json) returns text
language plpgsql as $$
declare
  v_row record;
  v_status text;
  v_hints text;
begin
  if left_mark(p_mark) is false then
    return 'outside';
  end if;
  for v_attempt in 1 .. 10 loop
    begin
      for v_row in
        select s.item, s.status from signal(
          true, array[(p_item ->> 'requestNo')::bigint], array[p_item ->> 'signalId'], array[p_item ->> 'workflowId'],
          array[p_item ->> 'payload'], array[(p_item ->> 'expireMs')::double precision],
          array[(p_item ->> 'chainNo')::bigint]) s
      loop
        if v_row.item = 0 then
          v_hints := v_row.status;
        else
          v_status := v_row.status;
        end if;
      end loop;
      perform tell_with_commit(v_hints);
      return v_status;
    exception
      when serialization_failure or deadlock_detected then null;
      when lock_not_available then exit;
    end;
  end loop;
  return 'held';
end $$;
