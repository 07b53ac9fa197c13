-- The search fields of a workflow's newest run, as a JSON object; null when there is no such workflow.
create or replace function user_data(p_workflow_id text) returns text
language sql stable as $$
-- plans: index only
  select coalesce(d.search, '{}')::text
  from (select latest_run(p_workflow_id) as run_no) r
  left join document d on d.run_no = r.run_no
  where r.run_no is not null
$$;
