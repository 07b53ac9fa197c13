-- 'o' for a run or reservation whose end may be due before the reaper next looks ahead (every 2 s, see expire_runs); else null.
create or replace function hint_of_terms(p_terms json) returns text
language sql immutable as $$
  select case when least(
    (p_terms ->> 'pendingMs')::double precision, (p_terms ->> 'executionTimeoutMs')::double precision,
    (p_terms ->> 'runTimeoutMs')::double precision) < 5000 then 'o' end
$$;
