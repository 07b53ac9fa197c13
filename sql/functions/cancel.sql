-- Asks a workflow to cancel: sets the flag and wakes it, wherever it waits. Silent when unknown or finished.
-- p_chain_no: only while that chain carries the id. Answers true when it was open; hints for those who should look.
-- Locks: the execution, its threads (sorted).
create or replace function cancel(p_patient boolean, p_workflow_id text, p_chain_no bigint) returns table (found boolean, hints text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_run bigint;
  v_state text;
  v_chain_no bigint;
begin
  perform begin_write(p_patient);
  loop
    v_run := latest_run(p_workflow_id);
    select e.state, e.chain_no into v_state, v_chain_no from execution e where e.run_no = v_run for no key update;
    exit when v_run is null or v_run = latest_run(p_workflow_id);   -- else: continued or replaced while we waited for the lock
  end loop;
  if v_state is distinct from 'open' or v_chain_no <> p_chain_no then
    return query select false, '';
    return;
  end if;
  perform from thread t where t.run_no = v_run order by t.thread_no for no key update;
  -- pause: locked
  return query select true, array_to_string(cancel_runs(array[v_run]), ',');
end $$;
