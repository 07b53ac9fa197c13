-- The search fields of a workflow's newest run, or of the newest of a chain, as a JSON object; null when there is no such workflow.
create or replace function user_data(p_workflow_id text, p_chain_no bigint) returns text
language sql stable as $$
-- plans: index only
  select coalesce(d.search, '{}')::text
  from (
    select e.run_no, e.state from execution e
    where e.workflow_id = p_workflow_id and (p_chain_no is null or e.chain_no = p_chain_no)
    order by e.run desc limit 1) r
  left join document d on d.run_no = r.run_no
  where r.state <> 'pruned'
$$;
