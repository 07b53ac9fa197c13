-- The failure of an activity that exceeded a limit, as the process it ran in would have written it; what went wrong before
-- is its cause, unless a codec sealed it.
create or replace function timeout_failure(p_task activity_task, p_limit text) returns text
language sql stable as $$
  select rtrim(json_build_object(
      'name', 'DurableTimeoutError',
      'message', format('Activity ''%s'' exceeded %sTimeout of %ss', p_task.name, x.field,
        (p_task.limits::json ->> x.field)::double precision / 1000),
      'stack', '', 'type', 'DurableTimeoutError', 'code', 596, 'nonRetryable', true,
      'details', json_build_object('timeoutType', p_limit))::text, '}')
    || '}' || case when p_task.last_failure like '{%' and p_task.last_failure not like '{"perdure:%' then ',"cause":' || p_task.last_failure else '' end || '}'
  from (select case p_limit
    when 'SCHEDULE_TO_CLOSE' then 'scheduleToClose' when 'SCHEDULE_TO_START' then 'scheduleToStart'
    when 'START_TO_CLOSE' then 'startToClose' else 'heartbeat' end) x (field)
$$;
