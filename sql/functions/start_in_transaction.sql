-- Starts one execution in a caller's transaction: it is there when that commits, and never was when it does not.
-- p_item: the fields of StartItem. p_mark: what the caller's client left in the transaction before (a local setting); where
-- it is not found there is no transaction, or this is another connection. Null: called from SQL.
-- Answers as start, or without any effect: outside (no transaction) | undeclared (no such service) | held (a row was held
-- by others for 5 s, or all attempts deadlocked). None of these aborts the transaction: what fails is undone by itself.
-- A service is never made here: until the caller commits, whoever names it too would wait, a worker that registers for one.
-- Locks: as start; held until the caller's transaction ends.
create or replace function start_in_transaction(p_mark text, p_item json) returns table (status text, run_no bigint)
language plpgsql as $$
#variable_conflict use_column
declare
  v_row record;
  v_hints text;
begin
  if left_mark(p_mark) is false then
    return query select 'outside', null::bigint;
    return;
  end if;
  if not exists (
    select from service s
    where s.kind = 'workflow' and s.task_queue = p_item ->> 'taskQueue' and s.name = p_item ->> 'workflowName') then
    return query select 'undeclared', null::bigint;
    return;
  end if;
  for v_attempt in 1 .. 10 loop
    begin
      for v_row in
        select s.item, s.status, s.run_no from start(
          true, array[(p_item ->> 'requestNo')::bigint], array[p_item ->> 'workflowId'], array[p_item ->> 'taskQueue'],
          array[p_item ->> 'workflowName'], array[p_item ->> 'args'], array[p_item ->> 'config'],
          array[(p_item ->> 'expireS')::double precision], array[(p_item ->> 'signalIn')::boolean],
          array[p_item ->> 'terms'], array[p_item ->> 'entity'], array[p_item ->> 'search'],
          array[p_item ->> 'parentWorkflowId'], array[p_item ->> 'originId'], array[p_item ->> 'trace']) s
      loop
        if v_row.item = 0 then
          v_hints := v_row.status;
        else
          status := v_row.status;
          run_no := v_row.run_no;
        end if;
      end loop;
      perform tell_with_commit(v_hints);
      return next;
      return;
    exception
      when serialization_failure or deadlock_detected then null;
      when lock_not_available then exit;
    end;
  end loop;
  status := 'held';
  run_no := null;
  return next;
end $$;
