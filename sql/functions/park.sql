-- Parks threads that wait: p_blocked_on is what they wait for, as text like {1,4}. One that has mail is not parked; its
-- owner fetches the mail. Answers the threads that were not parked ('mail', or 'fenced' when no longer owned).
-- Locks: own worker, then the threads (sorted); the inbox is looked at in a later statement.
create or replace function park(
  p_worker_no int, p_patient boolean, p_thread_no bigint[], p_epoch int[], p_blocked_on text[]
) returns table (thread_no bigint, status text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_parked bigint[];
begin
  perform begin_write(p_patient);
  perform lock_lease(p_worker_no);
  perform from thread t where t.thread_no = any(p_thread_no) order by t.thread_no for no key update;
  -- pause: locked
  with parked as (
    update thread t set
      state = 'parked', owner = null, claim_no = null, affinity = p_worker_no, blocked_on = u.blocked_on::int[],
      ready_at = (select min(m.due_at) from timer m where m.thread_no = t.thread_no)
    from unnest(p_thread_no, p_epoch, p_blocked_on) u (thread_no, epoch, blocked_on)
    where t.thread_no = u.thread_no and t.owner = p_worker_no and t.epoch = u.epoch
      and not exists (select from inbox i where i.thread_no = t.thread_no)
    returning t.thread_no
  )
  select coalesce(array_agg(thread_no), '{}') into v_parked from parked;
  return query
  select u.thread_no, case when t.thread_no is null then 'fenced' else 'mail' end
  from unnest(p_thread_no, p_epoch) u (thread_no, epoch)
  left join thread t on t.thread_no = u.thread_no and t.owner = p_worker_no and t.epoch = u.epoch
  where not u.thread_no = any(v_parked);
end $$;
