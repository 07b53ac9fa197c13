-- Milliseconds before the attempt after p_attempt, as retryDelayMs (src/core/retry-policy.ts) has it; null when that was the
-- last one. Far up the power would overflow: the maximum is long reached there.
create or replace function retry_delay_ms(p_retry json, p_attempt int) returns double precision
language sql stable as $$
  select case
    when p_attempt > maximum_attempts then null
    when initial = 0 then 0
    when (p_attempt - 1) * ln(coefficient) > 300 then maximum
    else least(initial * coefficient ^ (p_attempt - 1), maximum)
  end
  from (select (p_retry ->> 'maximumAttempts')::double precision, (p_retry ->> 'initialIntervalMs')::double precision,
    (p_retry ->> 'backoffCoefficient')::double precision, (p_retry ->> 'maximumIntervalMs')::double precision
  ) x (maximum_attempts, initial, coefficient, maximum)
$$;
