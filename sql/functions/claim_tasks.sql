-- Takes up to p_limit activity tasks that are due. Re-sendable by claim number, like claim.
-- Locks: own worker, then tasks (held ones skipped); never a thread, so it cannot meet those who go thread -> task.
-- A scoped worker gets what it serves, and nothing else: 42501.
-- Tasks of paused runs are not taken.
-- The last row has no thread: `due_in_ms` says when the next task of these services is due.
create or replace function claim_tasks(p_worker_no int, p_claim_no bigint, p_services int[], p_limit int)
returns table (
  thread_no bigint, op int, epoch int, service_no int, attempt int, losses int, name text, input text, last_failure text,
  workflow_id text, run_no bigint, request_no bigint, lineage text, workflow_name text, workflow_queue text,
  details text, close_in_ms double precision, trace text, due_in_ms double precision
)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_scope int[];
  v_now timestamptz;
  v_taken int := 0;
  v_limited boolean;
  v_held record;
begin
  perform begin_write(false);
  v_scope := lock_lease(p_worker_no);
  if v_scope is not null and not p_services <@ v_scope then
    raise exception 'worker % does not serve all services it asks for', p_worker_no using errcode = '42501';
  end if;
  v_now := clock();
  if not exists (select from activity_task a where a.owner = p_worker_no and a.claim_no = p_claim_no) then
    with picked as (
      select r.* from unnest(p_services) s (service_no)
      cross join lateral (
        select a.thread_no, a.op from activity_task a
        where a.service_no = s.service_no and a.ready_at <= v_now
          and (a.expires_at is null or a.expires_at > v_now)  -- else it is too late: see expire_tasks
        order by a.ready_at
        limit p_limit
        for no key update skip locked
      ) r
      limit p_limit
    ), taken as (
      update activity_task a set owner = p_worker_no, claim_no = p_claim_no, epoch = a.epoch + 1, ready_at = null,
        started_at = case when a.limits is not null then v_now end, beat_at = null
      from picked p where a.thread_no = p.thread_no and a.op = p.op
      returning a.limits
    )
    select count(*), count(limits) > 0 into v_taken, v_limited from taken;
    if v_limited then
      update activity_task a set expires_at = task_expiry(a)
      where a.owner = p_worker_no and a.claim_no = p_claim_no and a.limits is not null;
    end if;
    -- What belongs to a paused run is laid aside until that is resumed. Looked at behind the locks: who resumes waits for
    -- them, and finds what was laid aside.
    if v_taken > 0 then
      for v_held in
        select a.thread_no, a.op from activity_task a
        cross join lateral (select x.paused from thread x where x.thread_no = a.thread_no offset 0) t
        where a.owner = p_worker_no and a.claim_no = p_claim_no and t.paused
      loop
        v_taken := v_taken - 1;
        update activity_task a set owner = null, claim_no = null, epoch = a.epoch - 1, started_at = null
        where a.thread_no = v_held.thread_no and a.op = v_held.op;
        update activity_task a set expires_at = task_expiry(a)
        where a.thread_no = v_held.thread_no and a.op = v_held.op and a.limits is not null;
      end loop;
    end if;
  end if;
  return query
  select a.thread_no, a.op, a.epoch, a.service_no, a.attempt, a.losses, a.name, a.input, a.last_failure,
    e.workflow_id, e.run_no, e.request_no, case when t.thread_no = t.run_no then e.lineage end, s.name, s.task_queue,
    a.details, extract(epoch from a.close_at - v_now)::double precision * 1000, e.trace, null::double precision
  from activity_task a
  join thread t on t.thread_no = a.thread_no
  join execution e on e.run_no = t.run_no
  join service s on s.service_no = t.service_no      -- the function that called it: of a hook, the hook's own
  where a.owner = p_worker_no and a.claim_no = p_claim_no;
  if v_taken < p_limit then
    due_in_ms := (
      select min(extract(epoch from r.ready_at - v_now) * 1000)
      from unnest(p_services) s (service_no)
      cross join lateral (
        select a.ready_at from activity_task a
        where a.service_no = s.service_no and a.ready_at is not null and (a.expires_at is null or a.expires_at > v_now)
        order by a.ready_at limit 1
      ) r);
    if due_in_ms is not null then
      thread_no := null;
      return next;
    end if;
  end if;
end $$;
