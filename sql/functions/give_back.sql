-- Compares what the database says a worker owns with what it holds, and gives the rest to whoever wants it: nothing is
-- orphaned by a lost answer. Only claims older than p_claims_before are judged: a younger one may still be on its way.
-- Answers what the worker holds but does not own (any more).
-- Locks: own worker, then threads and tasks (held ones skipped).
create or replace function give_back(
  p_worker_no int, p_patient boolean, p_threads bigint[], p_claims_before bigint, p_task_threads bigint[], p_task_ops int[]
) returns table (kind text, thread_no bigint, op int)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
begin
  perform begin_write(p_patient);
  perform lock_lease(p_worker_no);
  update thread t set state = 'ready', ready_at = clock(), owner = null, claim_no = null
  from (
    select x.thread_no from thread x
    where x.owner = p_worker_no and x.claim_no < p_claims_before
      and not exists (select from unnest(p_threads) h where h = x.thread_no)
    order by x.thread_no for no key update skip locked
  ) x
  where t.thread_no = x.thread_no;
  update activity_task a set ready_at = clock(), owner = null, claim_no = null
  from (
    select x.thread_no, x.op from activity_task x
    where x.owner = p_worker_no and x.claim_no < p_claims_before
      and not exists (select from unnest(p_task_threads, p_task_ops) h (t, o) where h.t = x.thread_no and h.o = x.op)
    order by x.thread_no, x.op for no key update skip locked
  ) x
  where a.thread_no = x.thread_no and a.op = x.op;
  return query
  select 'thread', h, null::int from unnest(p_threads) h
  where not exists (select from thread t where t.thread_no = h and t.owner = p_worker_no);
  return query
  select 'task', h.t, h.o from unnest(p_task_threads, p_task_ops) h (t, o)
  where not exists (select from activity_task a where a.thread_no = h.t and a.op = h.o and a.owner = p_worker_no);
end $$;
