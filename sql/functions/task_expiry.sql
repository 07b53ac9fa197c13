-- When the earliest of an activity's time limits is over; null when it has none now. A bound activity that runs is watched
-- by the process it runs in: when that is gone, its thread moves on and the attempt counts as lost.
create or replace function task_expiry(p_task activity_task) returns timestamptz
language sql stable as $$
  select case
    when p_task.limits is null then null
    when p_task.owner is null and not p_task.outside then
      least(p_task.close_at, p_task.ready_at + (l ->> 'scheduleToStart')::double precision * interval '1 ms')
    when p_task.service_no = 0 and not p_task.outside then p_task.close_at
    else least(p_task.close_at,
      p_task.started_at + (l ->> 'startToClose')::double precision * interval '1 ms',
      -- heartbeats are sent together, every 200 ms at most
      coalesce(p_task.beat_at, p_task.started_at) + ((l ->> 'heartbeat')::double precision + 500) * interval '1 ms')
  end
  from (select p_task.limits::json) x (l)
$$;
