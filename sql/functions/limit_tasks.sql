-- Gives tasks just made the time limits of 'limits' effects.
create or replace function limit_tasks(
  p_thread_no bigint[], e_item int[], e_kind text[], e_op int[], e_extra text[]
) returns void
language plpgsql as $$
-- plans: index only
begin
  for i in 1 .. cardinality(e_item) loop
    if e_kind[i] = 'limits' then
      update activity_task a set
        limits = e_extra[i], close_at = clock() + (e_extra[i]::json ->> 'scheduleToClose')::double precision * interval '1 ms'
      where a.thread_no = p_thread_no[e_item[i]] and a.op = e_op[i];
      update activity_task a set expires_at = task_expiry(a) where a.thread_no = p_thread_no[e_item[i]] and a.op = e_op[i];
    end if;
  end loop;
end $$;
