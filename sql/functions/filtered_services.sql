-- The services that a filter of executions names by queue and workflow: $2 of execution_clause. Few, and looked up first, so
-- that the planner sees numbers.
create or replace function filtered_services(p_filter jsonb) returns int[]
language sql stable as $$
  select array(
    select s.service_no from service s
    where s.kind = 'workflow' and s.name = coalesce(p_filter ->> 'workflowName', s.name)
      and s.task_queue = coalesce(p_filter ->> 'taskQueue', s.task_queue))
$$;
