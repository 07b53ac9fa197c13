-- Ends a workflow at once, from outside. Writes the closing entry of every thread, so that an owner who is committing
-- meets the fence. p_failure is what result() rejects with; null ends without one. p_descend: its descendants are noted
-- to end too, which `descend` does, generation by generation.
-- p_chain_no: only while that chain carries the id. Idempotent by commit number. Answers: terminated | again | unknown | completed; hints.
-- Locks: the execution; its threads, the parent's and those of whoever awaits its hooks (sorted).
create or replace function terminate(p_patient boolean, p_request_no bigint, p_workflow_id text, p_failure text, p_expire_s double precision, p_descend boolean, p_chain_no bigint)
returns table (status text, hints text)
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
    exit when v_run is null or v_run = latest_run(p_workflow_id);   -- else: continued, replaced or pruned while we waited for the lock
  end loop;
  if v_run is null then
    return query select 'unknown', '';
    return;
  end if;
  if exists (                                        -- perhaps of a run whose id has been used again since
    select from execution e
    cross join lateral (select x.commit_no from history x where x.thread_no = e.run_no and x.closes order by x.seq desc limit 1) h
    where e.workflow_id = p_workflow_id and h.commit_no = p_request_no)
  then
    return query select 'again', '';
    return;
  end if;
  if v_state not in ('open', 'pending') or v_chain_no <> p_chain_no then
    return query select 'completed', '';
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
