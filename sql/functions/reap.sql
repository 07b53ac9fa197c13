-- Declares workers dead whose lease is over and gives their threads and tasks to others. Every worker calls it every
-- 2 s; nothing else is needed for recovery. Also settles threads that some worker's code cannot run: a blocked one is
-- offered to the caller if it has not tried it (its registration may have crossed the blocking), one that waits for a
-- worker which is gone is blocked. Answers hints for whoever should look, and the workers it declared dead (a scoped role: its own), as JSON:
-- [[worker number, its description], ...].
-- Locks: expired workers (held ones, i.e. those committing this moment, are skipped), then threads, then tasks.
create or replace function reap(p_worker_no int default 0, out hints text, out reaped text)
language plpgsql as $$
-- plans: index only
begin
  perform begin_write(false);
  with dead as (
    update worker w set died_at = clock()
    from (
      select x.worker_no from worker x
      where x.released_at is null and x.died_at is null and x.lease_until < clock()
      order by x.worker_no for update skip locked
    ) x
    where w.worker_no = x.worker_no and w.died_at is null and w.lease_until < clock()
    returning w.worker_no, w.description, w.role
  )
  select coalesce(json_agg(json_build_array(d.worker_no, d.description))::text, '[]') into reaped from dead d
  where (caller_grants()).role_no is null or d.role = session_user;
  -- pause: declared
  perform offer_blocked_threads(w.worker_no, w.services) from worker w
  where w.worker_no = p_worker_no and w.role = session_user and w.died_at is null;
  update thread t set state = 'blocked', ready_at = null, blocked_reason = coalesce(t.blocked_reason, 'the workers that could run it are gone')
  from (
    select x.thread_no from thread x
    where x.excluded is not null and x.state = 'ready' and not exists (
      select from worker w
      where w.released_at is null and w.died_at is null and x.service_no = any(w.services)
        and not w.worker_no = any(x.excluded))
    order by x.thread_no for no key update skip locked
  ) x
  where t.thread_no = x.thread_no;
  hints := array_to_string(
    release_dead_workers()
    -- a time limit of an activity is near: see expire_tasks
    || case when exists (select from activity_task a where a.expires_at < (select clock()) + interval '2 s') then array['x'] else '{}' end
    -- a timeout of a workflow, or the end of a reservation: see expire_runs
    || case when exists (select from execution e where e.due_at < (select clock()) + interval '2 s') then array['o'] else '{}' end
    -- threads that workers died with: see try_suspect
    || case when exists (select from suspect s where s.state = 'waiting') then array['u'] else '{}' end,
    ',');
end $$;
