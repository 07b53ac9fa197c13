-- Functions of workflows on the queues that a worker serves which no live worker serves, though threads have waited for them
-- for some seconds: a misspelt name, or a deploy that forgot one. Answers how many wait, 1,000 standing for more.
-- Changes nothing, locks nothing.
create or replace function unserved(p_worker_no int)
returns table (task_queue text, workflow_name text, waiting int)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
begin
  return query
  select s.task_queue, s.name, n.waiting
  from (
    select distinct x.task_queue
    from worker w
    cross join lateral unnest(w.services) u (service_no)
    cross join lateral (
      select y.task_queue from service y where y.service_no = u.service_no and (not w.scoped or y.kind = 'workflow') offset 0) x
    where w.worker_no = p_worker_no and w.role = session_user
  ) q
  cross join lateral (
    select y.service_no, y.task_queue, y.name from service y where y.kind = 'workflow' and y.task_queue = q.task_queue offset 0) s
  cross join lateral (
    select count(*)::int as waiting
    from (select from thread t where t.service_no = s.service_no and t.ready_at < (select clock()) - interval '3 s' limit 1000) r) n
  where n.waiting > 0
    and not exists (
      select from worker w where w.released_at is null and w.died_at is null and s.service_no = any(w.services))
  order by 1, 2;
end $$;
