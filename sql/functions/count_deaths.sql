-- Blames deaths of workers on what they had: each of the threads p_threads that one of p_dead owns is counted, unless the
-- worker was trying a suspect (try_suspect): then that one alone. A thread with a task that is lost in the same moment is
-- passed over: the task counts the loss itself, and fails by it. Entries in between, which are progress, end a count: hence
-- nothing has to be written when there is progress.
-- The caller holds the workers and the threads, and has not released them yet. Locks: suspects, behind threads.
create or replace function count_deaths(p_dead int[], p_threads bigint[]) returns void
language plpgsql as $$
-- plans: index only
begin
  insert into suspect as s (thread_no, service_no, deaths, last_seq, lost_with, since, lost_at, state)
  select t.thread_no, t.service_no, 1, h.seq, t.owner, now.at, now.at, 'counted'
  from (select clock() as at offset 0) now
  cross join unnest(p_threads) u (thread_no)
  cross join lateral (
    select x.thread_no, x.service_no, x.owner from thread x
    where x.thread_no = u.thread_no and x.owner = any(p_dead) and x.state = 'owned' offset 0) t
  left join lateral (
    select x.seq from history x where x.thread_no = t.thread_no order by x.seq desc limit 1) h on true
  where (not t.owner = any(trying(p_dead))
      or exists (select from suspect k where k.thread_no = t.thread_no and k.tried_by = t.owner))
    and not exists (select from activity_task a where a.thread_no = t.thread_no and a.owner = t.owner)
  order by t.thread_no
  on conflict (thread_no) do update set
    deaths = case when s.last_seq is not distinct from excluded.last_seq then s.deaths + 1 else 1 end,
    since = case when s.last_seq is not distinct from excluded.last_seq then s.since else excluded.since end,
    last_seq = excluded.last_seq, lost_with = excluded.lost_with, lost_at = excluded.lost_at, state = 'counted';
end $$;
