-- How much waits on a task queue for a worker with room: workflows that may go on, and tasks of activities. p_limit stands for
-- that or more, and bounds the cost. Changes nothing, locks nothing.
create or replace function backlog(p_task_queue text, p_limit int) returns int
language plpgsql stable as $$
-- plans: index only
begin
  return (
    select count(*)
    from (
      select from (select s.service_no from service s where s.kind = 'workflow' and s.task_queue = p_task_queue) s
      cross join lateral (
        select from thread t where t.service_no = s.service_no and t.ready_at <= (select clock()) limit p_limit) t
      union all
      select from (select s.service_no from service s where s.kind = 'activity' and s.task_queue = p_task_queue) s
      cross join lateral (
        select from activity_task a where a.service_no = s.service_no and a.ready_at <= (select clock()) limit p_limit) a
      limit p_limit
    ) waiting);
end $$;
