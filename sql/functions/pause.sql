-- Pauses workflows: none of their threads is claimed until they are resumed. What waits is paused at once; an owner is told
-- by its mail, finishes what is under way and gives the thread up (release), and a dead one's is freed into the same state.
-- Signals, timers, ends of children and cancel requests wait in inbox and timer. Idempotent by request number for ten minutes.
-- Answers per item: paused | again (it was paused before, by whomever) | unknown | inactive | pending; hints on item 0.
-- Locks: request slot and rows; the executions; their threads (each sorted). Raises PD001, 40001 (a run was continued
-- meanwhile: start over).
create or replace function pause(p_patient boolean, p_request_no bigint[], p_workflow_id text[], p_reason text[])
returns table (item int, status text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_known text[];
  v_answers text[];
  v_runs bigint[];
  v_new bigint[];
  v_hints text[];
begin
  perform begin_write(p_patient);
  v_known := remember_requests(p_request_no);
  -- pause: remembered
  v_runs := lock_latest_runs(
    array(select p_workflow_id[n] from unnest(v_known) with ordinality u (a, n) where a is null));
  -- pause: runs
  v_answers := array(
    select coalesce(u.answer, case
      when e.run_no is null then 'unknown'
      when e.state = 'pending' then 'pending'
      when e.state <> 'open' then 'inactive'
      when e.paused_at is not null or row_number() over (partition by e.run_no, u.answer is null order by u.n) > 1 then 'again'
      else 'paused' end)
    from unnest(v_known, p_workflow_id) with ordinality u (answer, workflow_id, n)
    left join lateral (
      select x.run_no, x.state, x.paused_at from execution x
      where x.workflow_id = u.workflow_id and x.run_no = any(v_runs) offset 0) e on true
    order by u.n);
  with paused as (
    update execution e set paused_at = clock(),
      pause_reason = p_reason[array_position(p_workflow_id, e.workflow_id)]
    where e.run_no = any(v_runs) and e.state = 'open' and e.paused_at is null
    returning e.run_no
  )
  select coalesce(array_agg(run_no), '{}') into v_new from paused;
  perform from thread t where t.run_no = any(v_new) order by t.thread_no for no key update;
  -- pause: locked
  with paused as (
    update thread t set paused = true, ready_at = null,
      resume_at = case when t.state = 'ready' and t.ready_at > clock() then t.ready_at end,
      state = case t.state when 'owned' then 'owned' else 'paused' end
    where t.run_no = any(v_new) and t.state <> 'done'
    returning t.thread_no, t.owner
  ), told as (
    insert into inbox (thread_no, worker_no, kind)
    select p.thread_no, p.owner, 'pause' from paused p where p.owner is not null order by p.thread_no
    returning worker_no
  )
  select array_agg(distinct 'w' || worker_no) into v_hints from told;
  perform answer_requests(p_request_no, v_answers);
  -- pause: done
  return query select n::int, a from unnest(v_answers) with ordinality u (a, n);
  return query select 0, array_to_string(v_hints, ',') where v_hints is not null;
end $$;
