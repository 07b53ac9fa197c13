-- Lets the limits of an activity of a scoped worker through: expire_tasks computes with them, for all queues. Raises PD003.
create or replace function checked_limits(p_limits text) returns void
language plpgsql immutable as $$
declare
  v_limits json := p_limits::json;
  v_retry json := v_limits -> 'retry';
begin
  perform checked_figure(f, (v_limits ->> f)::double precision, 0, 1e13)
  from unnest('{scheduleToClose,scheduleToStart,startToClose,heartbeat}'::text[]) f;
  perform checked_figure('maximumAttempts', (v_retry ->> 'maximumAttempts')::double precision, 1, 'infinity');
  perform checked_figure('backoffCoefficient', (v_retry ->> 'backoffCoefficient')::double precision, 1, 1e6);
  perform checked_figure(f, (v_retry ->> f)::double precision, 0, 1e13) from unnest('{initialIntervalMs,maximumIntervalMs}'::text[]) f;
exception when invalid_text_representation or numeric_value_out_of_range or undefined_function then
  raise exception 'limits must be an object of numbers; got %', left(p_limits, 80) using errcode = 'PD003';
end $$;
