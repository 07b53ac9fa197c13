-- The newest run of a workflow id, or null.
create or replace function latest_run(p_workflow_id text) returns bigint
language sql stable as $$
-- plans: index only
  select e.run_no from execution e where e.workflow_id = p_workflow_id order by e.run desc limit 1
$$;
