-- The command that opened an operation, as [kind, name, fingerprint, counter, spec] of its history entry; null where the entry
-- holds what json of Postgres cannot read.
create or replace function recorded_command(p_thread_no bigint, p_op int) returns json
language plpgsql stable as $$
declare
  v_entry record;
begin
  select h.body, h.opened_from into v_entry from history h
  where h.thread_no = p_thread_no and h.opened_from <= p_op and h.opened_from + h.opened_count > p_op;
  return (
    select x.command
    from (
      select c.command, row_number() over (order by s.n, c.n) - 1 as nth
      from json_array_elements(v_entry.body::json) with ordinality s (step, n)
      cross join lateral json_array_elements(s.step) with ordinality c (command, n)
      where c.n > 2                                    -- behind the time and the event
        -- these open no operation: opensOperation in src/core/history.ts
        and c.command ->> 0 not in ('emit', 'trace', 'patch', 'complete', 'fail', 'continue')
    ) x
    where x.nth = p_op - v_entry.opened_from);
exception when others then
  return null;
end $$;
