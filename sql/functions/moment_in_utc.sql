-- A moment as ISO text in UTC, whatever the session's time zone.
create or replace function moment_in_utc(p_at timestamptz) returns text
language sql stable as $$
  select to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;
