-- Ends attempts and activities whose time limit is over, wherever they are: waiting for a worker that never comes, in a
-- process that hangs or is dead, with somebody who holds the task token. An attempt that exceeded its own limit
-- (startToCloseTimeout, heartbeatTimeout) is repeated by the retry policy; all else fails for good. Any worker may call it
-- at any time. Answers hints, and when the next limit of the namespace is due.
-- `expires_at` may be early: a heartbeat does not move it, which would cost an index entry each.
-- Locks: the threads (sorted, held ones skipped), then their tasks (held ones skipped).
create or replace function expire_tasks() returns table (hints text, due_in_ms double precision)
language plpgsql as $$
-- plans: index only
declare
  v_now timestamptz;
  v_threads bigint[];
  v_task activity_task;
  v_limit text;
  v_failure text;
  v_delay_ms double precision;
  v_woken bigint[] := '{}';
  v_hints text[] := '{}';
begin
  perform begin_write(false);
  v_now := clock();
  v_threads := array(
    select t.thread_no from thread t
    where t.thread_no in (
      select a.thread_no from activity_task a where a.expires_at <= v_now order by a.expires_at limit 500)
    order by t.thread_no for no key update skip locked);
  -- pause: locked
  for v_task in
    select a.* from activity_task a
    where a.thread_no = any(v_threads) and a.expires_at <= v_now
    order by a.thread_no, a.op for no key update skip locked
  loop
    v_limit := exceeded_limit(v_task, v_now);
    if v_limit is null then
      update activity_task a set expires_at = task_expiry(a) where a.thread_no = v_task.thread_no and a.op = v_task.op;
      continue;
    end if;
    v_failure := timeout_failure(v_task, v_limit);
    v_delay_ms := case when v_limit in ('START_TO_CLOSE', 'HEARTBEAT') then
      retry_delay_ms(v_task.limits::json -> 'retry', v_task.attempt) end;
    if v_delay_ms is not null and retry_task(v_task, v_failure, null, v_delay_ms) then
      if v_task.service_no = 0 then
        perform tell_thread(v_task.thread_no, v_task.op, 'again', null);
        v_woken := v_woken || v_task.thread_no;
      else
        v_hints := v_hints || ('q' || v_task.service_no);
      end if;
    else
      delete from activity_task a where a.thread_no = v_task.thread_no and a.op = v_task.op;
      perform tell_thread(v_task.thread_no, v_task.op, 'fail', v_failure);
      v_woken := v_woken || v_task.thread_no;
    end if;
  end loop;
  -- pause: done
  hints := array_to_string(v_hints || wake(v_woken), ',');
  due_in_ms := (
    select extract(epoch from a.expires_at - clock()) * 1000 from activity_task a
    where a.expires_at is not null order by a.expires_at limit 1);
  return next;
end $$;
