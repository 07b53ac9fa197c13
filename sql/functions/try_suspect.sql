-- Lets a worker try a suspect, a thread that workers died with: one at a time, so that the next death, should there be one,
-- has a culprit. What died p_quarantine_after times (0: never enough) is quarantined instead: blocked, until it is resumed.
-- Who died last is tried last: what ends its worker stands behind the innocent again, and nobody waits for ever where
-- workers die faster than suspects are tried. (By the number of deaths those with three waited as long as others came to two.)
-- p_survived: those that it tried and that got on, or have nothing left to do: they are above suspicion.
-- The one to try is ready from now on, and left to this worker for half a second, which claims it as it does late commands.
-- Answers rows: those that were quarantined, and the one to try. Locks: own worker, then threads (held ones skipped), then suspects.
create or replace function try_suspect(p_worker_no int, p_services int[], p_survived bigint[], p_quarantine_after int)
returns table (thread_no bigint, quarantined boolean, deaths int, workflow_id text, run int, hook_no int, service_no int,
  parent_workflow_id text, origin_id text, last_commit_no bigint)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_suspects bigint[];
  v_bad bigint[];
  v_next bigint;
begin
  perform begin_write(false);
  perform lock_lease(p_worker_no);
  if p_survived <> '{}' then
    delete from suspect s where s.thread_no = any(p_survived) and s.tried_by = p_worker_no and s.state = 'tried';
  end if;
  v_suspects := array(
    select r.thread_no
    from worker w
    cross join lateral unnest(p_services) u (service_no)
    cross join lateral (
      select s.thread_no, s.lost_at from suspect s
      where s.service_no = u.service_no and s.state = 'waiting' order by s.lost_at, s.thread_no limit 20) r
    where w.worker_no = p_worker_no and u.service_no = any(w.services)
    order by r.lost_at, r.thread_no limit 20);
  if v_suspects = '{}' then
    return;
  end if;
  v_suspects := array(
    select t.thread_no from thread t where t.thread_no = any(v_suspects) order by t.thread_no for no key update skip locked);
  -- pause: locked
  -- looked at again behind the locks
  select coalesce(array_agg(s.thread_no) filter (where bad), '{}'),
    (array_agg(s.thread_no order by s.lost_at, s.thread_no) filter (where not bad))[1]
  into v_bad, v_next
  from (
    select x.thread_no, x.lost_at, p_quarantine_after > 0 and x.deaths >= p_quarantine_after as bad
    from suspect x
    cross join lateral (select y.state, y.excluded from thread y where y.thread_no = x.thread_no offset 0) t
    where x.thread_no = any(v_suspects) and x.state = 'waiting' and t.state = 'blocked' and t.excluded is null
  ) s;
  update suspect s set state = 'quarantined' where s.thread_no = any(v_bad);
  -- nobody's code is excluded, and yet it is: who is newly registered does not try it, see offer_blocked_threads
  update thread t set excluded = '{}',
    blocked_reason = format('ended its worker %s times', (select s.deaths from suspect s where s.thread_no = t.thread_no))
  where t.thread_no = any(v_bad);
  update suspect s set state = 'tried', tried_by = p_worker_no where s.thread_no = v_next;
  update thread t set state = 'ready', ready_at = clock(), blocked_reason = null, affinity = p_worker_no
  where t.thread_no = v_next;
  return query
  select t.thread_no, t.thread_no is distinct from v_next, s.deaths, e.workflow_id, e.run, k.hook_no, t.service_no,
    e.parent_workflow_id, e.origin_id,
    (select h.commit_no from history h where h.thread_no = t.thread_no order by h.seq desc limit 1)
  from unnest(v_bad || v_next) u (no)
  cross join lateral (select x.thread_no, x.run_no, x.service_no from thread x where x.thread_no = u.no offset 0) t
  join suspect s on s.thread_no = t.thread_no
  join execution e on e.run_no = t.run_no
  left join hook k on k.thread_no = t.thread_no;
end $$;
