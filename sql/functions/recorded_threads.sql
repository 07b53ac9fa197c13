-- The threads whose histories tell the life of a run: its own, and those of the runs it was continued from, in their order,
-- the main thread before its hooks. A run that was reset or retried begins with copied entries, so the runs before the one they
-- were recorded in come before it too. `generation` counts the runs, `entries` is how far each history goes by now: who
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
  with recursive line as (
    select x.run_no, x.workflow_id, x.lineage, x.created_at, x.args, 0 as back, b.run as begun_run, b.cause as begun_cause
    from execution x
    cross join lateral (
      select y.run, y.cause from execution y
      where y.run_no = coalesce((x.lineage::json -> 0 ->> 'thread')::bigint, x.run_no) and y.workflow_id = x.workflow_id offset 0) b
    where x.run_no = p_run_no
    union all
    select p.run_no, p.workflow_id, p.lineage, p.created_at, p.args, l.back + 1, b.run, b.cause
    from line l
    cross join lateral (
      select y.* from execution y where y.workflow_id = l.workflow_id and y.run = l.begun_run - 1 offset 0) p
    cross join lateral (
      select y.run, y.cause from execution y
      where y.run_no = coalesce((p.lineage::json -> 0 ->> 'thread')::bigint, p.run_no) and y.workflow_id = p.workflow_id offset 0) b
    where l.begun_cause = 'continued'
  ), oldest as (
    -- before it there were runs that are gone, or none
    select l.back, case when l.begun_cause = 'continued' then l.begun_run - coalesce((
      select x.run from execution x
      where x.workflow_id = l.workflow_id and x.run < l.begun_run and x.cause <> 'continued'
      order by x.run desc limit 1), 0) else 0 end as generation
    from line l order by l.back desc limit 1
  )
  select t.thread_no, e.run_no, o.generation + o.back - e.back, k.hook_no, s.task_queue, s.name,
    extract(epoch from e.created_at)::double precision * 1000, coalesce(h.seq + 1, 0),
    case when o.generation + o.back - e.back = 0 and k.hook_no is null then e.args end
  from line e
  cross join oldest o
  cross join lateral (select x.thread_no, x.service_no from thread x where x.run_no = e.run_no offset 0) t
  cross join lateral (select x.task_queue, x.name from service x where x.service_no = t.service_no offset 0) s
  left join lateral (select x.hook_no from hook x where x.thread_no = t.thread_no offset 0) k on true
  left join lateral (select x.seq from history x where x.thread_no = t.thread_no order by x.seq desc limit 1) h on true
  order by e.back desc, k.hook_no nulls first;
end $$;
