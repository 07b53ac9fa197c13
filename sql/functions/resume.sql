-- Lets paused workflows go on: all their threads become ready, whoever claims one finds what came meanwhile, and tasks of
-- theirs that were laid aside may be taken again. A thread that is blocked, paused or not, is tried once more by every worker
-- that serves it; one that is quarantined begins a new count. Idempotent by request number for ten minutes.
-- Answers per item: resumed | again (nothing of it was paused or blocked) | unknown | inactive; hints on item 0.
-- Locks: request slot and rows; the executions; their threads; the tasks of those (each sorted); suspects. Raises PD001, 40001.
create or replace function resume(p_patient boolean, p_request_no bigint[], p_workflow_id text[])
returns table (item int, status text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_answers text[];
  v_runs bigint[];
  v_threads bigint[];
  v_resumed bigint[];
  v_hints text[];
  v_tasks text[];
begin
  perform begin_write(p_patient);
  v_answers := remember_requests(p_request_no);
  -- pause: remembered
  v_runs := lock_latest_runs(
    array(select p_workflow_id[n] from unnest(v_answers) with ordinality u (a, n) where a is null));
  -- pause: runs
  v_threads := array(
    select t.thread_no from thread t where t.run_no = any(v_runs) and t.state <> 'done' order by t.thread_no for no key update);
  -- pause: locked
  -- who is just laying some aside holds them: see claim_tasks
  perform from activity_task a where a.thread_no = any(v_threads) order by a.thread_no, a.op for no key update;
  -- pause: tasks
  delete from inbox i where i.thread_no = any(v_threads) and i.kind = 'pause';
  delete from suspect s where s.thread_no = any(v_threads);
  with freed as (
    update activity_task a set ready_at = clock()
    where a.thread_no = any(v_threads) and a.owner is null and not a.outside and a.service_no <> 0 and a.ready_at is null
    returning a.service_no
  )
  select coalesce(array_agg(distinct 'q' || service_no), '{}') into v_tasks from freed;
  update activity_task a set expires_at = task_expiry(a) where a.thread_no = any(v_threads) and a.limits is not null;
  with resumed as (
    update thread t set paused = false, blocked_reason = null, excluded = null,
      state = case when t.owner is null then 'ready' else t.state end,
      ready_at = case when t.owner is null then greatest(clock(),
        -- mail does not wait for it: see wake
        case when not exists (select from inbox i where i.thread_no = t.thread_no) then t.resume_at end) end, resume_at = null
    where t.thread_no = any(v_threads) and (t.paused or t.state = 'blocked')
    returning t.run_no, t.service_no, t.owner
  )
  select coalesce(array_agg(distinct run_no), '{}'),
    coalesce(array_agg(distinct 'q' || service_no) filter (where owner is null), '{}')
  into v_resumed, v_hints from resumed;
  update execution e set paused_at = null, pause_reason = null where e.run_no = any(v_runs) and e.paused_at is not null;
  v_answers := array(
    select coalesce(u.answer, case
      when e.run_no is null then 'unknown'
      when e.state not in ('open', 'pending') then 'inactive'
      when e.run_no = any(v_resumed) then 'resumed'
      else 'again' end)
    from unnest(v_answers, p_workflow_id) with ordinality u (answer, workflow_id, n)
    left join lateral (
      select x.run_no, x.state from execution x
      where x.workflow_id = u.workflow_id and x.run_no = any(v_runs) offset 0) e on true
    order by u.n);
  perform answer_requests(p_request_no, v_answers);
  -- pause: done
  return query select n::int, a from unnest(v_answers) with ordinality u (a, n);
  return query select 0, array_to_string(v_hints || v_tasks, ',') where v_hints || v_tasks <> '{}';
end $$;
