-- Takes a bound activity of a thread this worker owns, to run its next attempt. Whoever had it before has lost it with the
-- thread. Re-sendable by claim number. Answers nothing when there is nothing to run (it was answered, or waits for somebody
-- outside), and wait_ms alone while its retry is not due.
-- Locks: own worker, the thread, the task.
create or replace function take_step(p_worker_no int, p_claim_no bigint, p_thread_no bigint, p_epoch int, p_op int)
returns table (
  epoch int, attempt int, losses int, details text, close_in_ms double precision, wait_ms double precision
)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_now timestamptz;
begin
  perform begin_write(false);
  perform lock_lease(p_worker_no);
  perform from thread t
  where t.thread_no = p_thread_no and coalesce(t.owner, 0) = p_worker_no and t.epoch = p_epoch for no key update;
  if not found then
    return;
  end if;
  -- pause: locked
  v_now := clock();
  wait_ms := (
    select extract(epoch from m.due_at - v_now) * 1000 from timer m
    where m.thread_no = p_thread_no and m.op = p_op and m.due_at > v_now);
  if wait_ms is not null then
    return next;
    return;
  end if;
  update activity_task a set
    owner = p_worker_no, claim_no = p_claim_no, epoch = a.epoch + 1, beat_at = null,
    started_at = case when a.limits is not null then v_now end
  where a.thread_no = p_thread_no and a.op = p_op and a.service_no = 0 and not a.outside
    and (a.owner is distinct from p_worker_no or a.claim_no is distinct from p_claim_no);
  if found then
    delete from timer m where m.thread_no = p_thread_no and m.op = p_op;
    update activity_task a set expires_at = task_expiry(a)
    where a.thread_no = p_thread_no and a.op = p_op and a.limits is not null;
  end if;
  return query
  select a.epoch, a.attempt, a.losses, a.details, extract(epoch from a.close_at - v_now)::double precision * 1000, null::double precision
  from activity_task a
  where a.thread_no = p_thread_no and a.op = p_op and coalesce(a.owner, 0) = p_worker_no and a.claim_no = p_claim_no;
end $$;
