-- Gives threads back to be claimed by anyone, e.g. when the worker stops, or to stay paused. Locks: own worker, then the threads.
create or replace function release(p_worker_no int, p_patient boolean, p_thread_no bigint[], p_epoch int[]) returns text
language plpgsql as $$
-- plans: index only
declare
  v_hints text;
begin
  perform begin_write(p_patient);
  if lock_lease(p_worker_no) is not null then
    p_thread_no := own_threads(p_worker_no, p_thread_no);
  end if;
  perform from thread t where t.thread_no = any(p_thread_no) order by t.thread_no for no key update;
  with released as (
    update thread t set
      state = case when t.paused then 'paused' else 'ready' end, ready_at = case when not t.paused then clock() end,
      owner = null, claim_no = null, affinity = null
    where t.thread_no = any(p_thread_no)
      and coalesce(t.owner, 0) = p_worker_no and t.epoch = p_epoch[array_position(p_thread_no, t.thread_no)]
    returning t.service_no, t.paused
  )
  select string_agg(distinct 'q' || service_no, ',') into v_hints from released where not paused;
  return v_hints;
end $$;
