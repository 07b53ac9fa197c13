-- The threads whose histories tell the life of a run: its own, and those of the runs it was continued from, in the order of
-- the runs, the main thread before its hooks. `generation` counts the runs, `entries` is how far each history goes by now: who
-- pages to there reads what stood at one moment. Runs that were pruned are left out. `args` are those it all began with.
create or replace function recorded_threads(p_run_no bigint)
returns table (
  thread_no bigint, run_no bigint, generation int, hook_no int, task_queue text, workflow_name text,
  created_ms double precision, entries int, args text
)
language plpgsql stable as $$
-- plans: index only
#variable_conflict use_column
begin
  return query
  select t.thread_no, e.run_no, e.run - f.run, k.hook_no, s.task_queue, s.name,
    extract(epoch from e.created_at)::double precision * 1000, coalesce(l.seq + 1, 0),
    case when e.run = f.run and k.hook_no is null then e.args end
  from execution n
  cross join lateral (
    select coalesce(
      (select x.run from execution x
       where x.workflow_id = n.workflow_id and x.run <= n.run and x.cause <> 'continued'
       order by x.run desc limit 1), 0) as run) f
  cross join lateral (
    select x.run_no, x.run, x.created_at, x.args from execution x
    where x.workflow_id = n.workflow_id and x.run between f.run and n.run offset 0) e
  cross join lateral (select x.thread_no, x.service_no from thread x where x.run_no = e.run_no offset 0) t
  cross join lateral (select x.task_queue, x.name from service x where x.service_no = t.service_no offset 0) s
  left join lateral (select x.hook_no from hook x where x.thread_no = t.thread_no offset 0) k on true
  left join lateral (select x.seq from history x where x.thread_no = t.thread_no order by x.seq desc limit 1) l on true
  where n.run_no = p_run_no
  order by e.run, k.hook_no nulls first;
end $$;
