-- Which of an activity's limits is over, in the words of DurableTimeoutError.timeoutType; null: none. See task_expiry.
create or replace function exceeded_limit(p_task activity_task, p_at timestamptz) returns text
language sql stable as $$
  select case
    when task_expiry(p_task) is null or task_expiry(p_task) > p_at then null
    when p_task.close_at <= p_at then 'SCHEDULE_TO_CLOSE'
    when p_task.owner is null and not p_task.outside then 'SCHEDULE_TO_START'
    when p_task.started_at + (p_task.limits::json ->> 'startToClose')::double precision * interval '1 ms' <= p_at then 'START_TO_CLOSE'
    else 'HEARTBEAT'
  end
$$;
