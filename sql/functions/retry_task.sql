-- The attempt under way is over without an outcome, the next one is due in p_delay_ms. One that would come behind the
-- activity's scheduleToCloseTimeout is not made: false, nothing done. A bound activity is told to its thread, which alone
-- can take it. The caller holds the thread's lock.
create or replace function retry_task(p_task activity_task, p_failure text, p_details text, p_delay_ms double precision) returns boolean
language plpgsql as $$
-- plans: index only
declare
  v_due timestamptz := clock() + p_delay_ms * interval '1 ms';
begin
  if p_task.close_at <= v_due then
    return false;
  end if;
  update activity_task a set
    owner = null, claim_no = null, outside = false, attempt = a.attempt + 1,
    ready_at = case when a.service_no <> 0 then v_due end,
    last_failure = p_failure, details = coalesce(p_details, a.details)
  where a.thread_no = p_task.thread_no and a.op = p_task.op;
  update activity_task a set expires_at = task_expiry(a)
  where a.thread_no = p_task.thread_no and a.op = p_task.op and a.limits is not null;
  if p_task.service_no = 0 then
    insert into timer (thread_no, op, due_at) values (p_task.thread_no, p_task.op, v_due)
    on conflict (thread_no, op) do update set due_at = excluded.due_at;
  end if;
  return true;
end $$;
