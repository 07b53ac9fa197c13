-- Ends a workflow at once, from outside. Writes the closing entry of every thread, so that an owner who is committing
-- meets the fence. p_failure is what result() rejects with; null ends without one. p_descend: its descendants are noted
-- to end too, which `descend` does, generation by generation.
-- Idempotent by commit number. Answers: terminated | again | unknown | completed; hints.
-- Locks: the execution; its threads, the parent's and those of whoever awaits its hooks (sorted).
create or replace function terminate(p_patient boolean, p_request_no bigint, p_workflow_id text, p_failure text, p_expire_s double precision, p_descend boolean)
returns table (status text, hints text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_run bigint;
  v_state text;
begin
  perform begin_write(p_patient);
  loop
    v_run := latest_run(p_workflow_id);
    select e.state into v_state from execution e where e.run_no = v_run for no key update;
    exit when v_state is distinct from 'continued';
  end loop;
  if v_run is null then
    return query select 'unknown', '';
    return;
  end if;
  if v_state not in ('open', 'pending') then
    return query select case when exists (
      select from history h where h.thread_no = v_run and h.closes and h.commit_no = p_request_no) then 'again' else 'completed' end, '';
    return;
  end if;
  perform from thread t
  where t.thread_no in (
    select r.thread_no from thread r where r.run_no = v_run
    union all select e.parent_thread from execution e where e.run_no = v_run
    union all select k.opener_thread from hook k where k.run_no = v_run)
  order by t.thread_no for no key update;
  -- pause: locked
  return query select 'terminated', array_to_string(end_run(v_run, p_request_no, p_failure, p_expire_s, p_descend), ',');
end $$;
