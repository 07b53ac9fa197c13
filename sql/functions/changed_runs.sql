-- What subscribers of lifecycle events are told of runs that something else than their own worker ended or began (the hints 'e', see
-- end_run and reset): whoever made that call asks, when it has a subscriber. A worker role is told of its queues.
create or replace function changed_runs(p_runs bigint[])
returns table (state text, run int, workflow_id text, workflow_name text, task_queue text, parent_workflow_id text, origin_id text)
language plpgsql stable as $$
-- plans: index only
#variable_conflict use_column
declare
  v_grants worker_role := caller_grants();
begin
  return query
  select e.state, e.run, e.workflow_id, s.name, s.task_queue, e.parent_workflow_id, e.origin_id
  from unnest(p_runs) u (run_no)
  cross join lateral (select x.* from execution x where x.run_no = u.run_no and x.state <> 'pruned' offset 0) e
  cross join lateral (select x.task_queue, x.name from service x where x.service_no = e.service_no offset 0) s
  where v_grants.role_no is null or is_served(v_grants.stream_names, 'workflow', s.task_queue)
  order by e.run_no;
end $$;
