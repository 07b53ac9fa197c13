-- What the database says a worker owns, of claims older than p_claims_before (a younger one may still be on its way to
-- it): the thread numbers, and [thread, op] of its tasks, as JSON. The worker gives back what it does not hold.
create or replace function owned(p_worker_no int, p_claims_before bigint) returns table (threads text, tasks text)
language sql stable as $$
-- plans: index only
  select
    (select json_agg(json_build_array(t.thread_no, t.epoch))::text from thread t
     where t.owner = p_worker_no and t.claim_no < p_claims_before and is_own_worker(p_worker_no)),
    (select json_agg(json_build_array(a.thread_no, a.op, a.epoch))::text from activity_task a
     where a.owner = p_worker_no and a.claim_no < p_claims_before and is_own_worker(p_worker_no))
$$;
