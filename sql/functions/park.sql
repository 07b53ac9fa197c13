-- Parks threads that wait: p_blocked_on is what they wait for, as text like {1,4}. One that has mail is not parked; its
-- owner fetches the mail. Repeatable: what this worker parked in this epoch is parked. Answers the threads that were not parked ('mail', or 'fenced' when no longer owned).
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
  if lock_lease(p_worker_no) is not null then
    p_thread_no := own_threads(p_worker_no, p_thread_no);
  end if;
  perform from thread t where t.thread_no = any(p_thread_no) order by t.thread_no for no key update;
  -- pause: locked
  with parked as (
    update thread t set
      state = 'parked', owner = null, claim_no = null, affinity = p_worker_no,
      blocked_on = p_blocked_on[array_position(p_thread_no, t.thread_no)]::int[],
      ready_at = (select min(m.due_at) from timer m where m.thread_no = t.thread_no)
    where t.thread_no = any(p_thread_no)
      -- coalesce: by its statistics thread_owned looks better than the key, and is not
      and coalesce(t.owner, 0) = p_worker_no and t.epoch = p_epoch[array_position(p_thread_no, t.thread_no)]
      and not exists (select from inbox i where i.thread_no = t.thread_no)
    returning t.thread_no
  )
  select coalesce(array_agg(thread_no), '{}') into v_parked from parked;
  return query
  select u.thread_no, case when t.thread_no is null then 'fenced' else 'mail' end
  from unnest(p_thread_no, p_epoch) u (thread_no, epoch)
  left join lateral (
    select x.thread_no from thread x
    where x.thread_no = u.thread_no and coalesce(x.owner, 0) = p_worker_no and x.epoch = u.epoch offset 0) t on true
  where not u.thread_no = any(v_parked)
    -- parked by this very call before, whose answer was lost
    and not exists (
      select from thread x
      where x.thread_no = u.thread_no and x.owner is null and x.affinity = p_worker_no and x.epoch = u.epoch);
end $$;
