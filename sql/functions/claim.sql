-- Takes up to p_limit threads that are ready, or whose timer is due, for the given services. A claim carries a number;
-- the same call again returns the same rows. Should the first still be under way, this one takes others, and the
-- worker's comparison (give_back) returns what it never heard of.
-- A thread that another live worker has in its cache is left to it for half a second. p_wanted names parked threads to take
-- though nothing woke them: code in this worker's cache produced a late command.
-- A scoped worker gets what it serves, and nothing else: 42501.
-- Accepts thread states: ready, parked (timer due). Locks: own worker, then threads (held ones skipped).
-- Of a pile of mail only the first MiB comes along; of the rest, kind 'later', only which operations it is for: see rest_of_mail.
-- The last row has no thread: `due_in_ms` says when the next timer of these services is due.
create or replace function claim(p_worker_no int, p_claim_no bigint, p_services int[], p_limit int, p_wanted bigint[])
returns table (
  thread_no bigint, run_no bigint, chain_no bigint, request_no bigint, epoch int, service_no int,
  last_seq int, last_commit_no bigint, created_ms double precision, clock_ms double precision,
  workflow_id text, run int, args text, config text, expire_s double precision, cancel_requested boolean,
  parent_workflow_id text, origin_id text, trace text, lineage text, hook_no int, hook_signal text, timers text, tasks text, mail text, due_in_ms double precision
)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_scope int[];
  v_threads bigint[];
  v_now timestamptz;
begin
  perform begin_write(false);
  v_scope := lock_lease(p_worker_no);
  if v_scope is not null and not p_services <@ v_scope then
    raise exception 'worker % does not serve all services it asks for', p_worker_no using errcode = '42501';
  end if;
  v_now := clock();
  v_threads := array(select t.thread_no from thread t where t.owner = p_worker_no and t.claim_no = p_claim_no);
  if v_threads = '{}' then
    v_threads := array(
      select r.thread_no
      from unnest(p_services) s (service_no)
      cross join lateral (
        select t.thread_no, t.ready_at from thread t
        where t.service_no = s.service_no and t.ready_at <= v_now
          and (t.affinity is null or t.affinity = p_worker_no or t.ready_at <= v_now - interval '500 ms'
            -- offset 0: looked up by key, and only for the few rows that come to it
            or not exists (
              select from worker w
              where w.worker_no = t.affinity and w.died_at is null and w.lease_until > v_now offset 0))
          and (t.excluded is null or not p_worker_no = any(t.excluded))
        order by t.ready_at
        limit p_limit
        for no key update skip locked
      ) r
      limit p_limit);
    if p_wanted <> '{}' then
      v_threads := v_threads || array(
        select t.thread_no from thread t
        where t.thread_no = any(p_wanted) and t.state in ('parked', 'ready') and not t.thread_no = any(v_threads)
          and (v_scope is null or t.service_no = any(v_scope))
        order by t.thread_no for no key update skip locked);
    end if;
    -- pause: picked
    update thread t set
      state = 'owned', owner = p_worker_no, claim_no = p_claim_no, epoch = t.epoch + 1,
      ready_at = null, blocked_on = null, blocked_reason = null, affinity = null
    where t.thread_no = any(v_threads);
  end if;
  return query
  select t.thread_no, t.run_no, e.chain_no, e.request_no, t.epoch, t.service_no,
    h.seq, h.commit_no,
    extract(epoch from e.created_at)::double precision * 1000, extract(epoch from v_now)::double precision * 1000,
    e.workflow_id, e.run, coalesce(k.args, e.args), coalesce(k.config, e.config), e.expire_s, e.cancel_requested,
    e.parent_workflow_id, e.origin_id, e.trace, case when t.thread_no = t.run_no then e.lineage end, k.hook_no, k.signal_id,
    case when h.seq is not null then (
      select json_agg(json_build_array(m.op, extract(epoch from m.due_at - v_now) * 1000))::text
      from timer m where m.thread_no = t.thread_no) end,
    case when h.seq is not null then (
      select json_agg(a.op)::text from activity_task a where a.thread_no = t.thread_no) end,
    case when t.epoch > 1 or e.cancel_requested then (
      select json_agg(
        case when i.bytes < 1048576 or i.n = 1 then json_build_array(i.inbox_no, i.kind, i.op, i.payload)
        else json_build_array(i.inbox_no, 'later', i.op) end order by i.inbox_no)::text
      from (
        select x.*, sum(coalesce(length(x.payload), 0)) over (order by x.inbox_no) as bytes, row_number() over (order by x.inbox_no) as n
        from inbox x where x.thread_no = t.thread_no) i) end,
    null::double precision
  from thread t
  join execution e on e.run_no = t.run_no
  left join lateral (
    select x.hook_no, x.args, x.signal_id, x.config from hook x where t.thread_no <> t.run_no and x.thread_no = t.thread_no offset 0
  ) k on true
  left join lateral (
    select x.seq, x.commit_no from history x where t.epoch > 1 and x.thread_no = t.thread_no order by x.seq desc limit 1
  ) h on true
  where t.thread_no = any(v_threads);
  if cardinality(v_threads) < p_limit then
    due_in_ms := (
      select min(extract(epoch from r.ready_at - v_now) * 1000 + case when r.left_to_other then 500 else 0 end)
      from unnest(p_services) s (service_no)
      cross join lateral (
        select t.ready_at, coalesce(t.affinity <> p_worker_no, false) and exists (
            select from worker w
            where w.worker_no = t.affinity and w.died_at is null and w.lease_until > v_now offset 0) as left_to_other
        from thread t
        where t.service_no = s.service_no and t.ready_at is not null
          and (t.excluded is null or not p_worker_no = any(t.excluded))
        order by t.ready_at limit 1
      ) r);
    if due_in_ms is not null then
      thread_no := null;
      return next;
    end if;
  end if;
end $$;
