-- "Why is this not moving?": one answer, from the database alone, about the newest run of a workflow, or of the given chain;
-- null when there is none. Takes no locks and changes nothing.
--   select jsonb_pretty(explain('order-1'));    select explain('order-1') ->> 'message';
-- p_depth: through how many children and hooks that are waited for the answer goes.
create or replace function explain(p_workflow_id text, p_chain_no bigint default null, p_depth int default 5) returns jsonb
language plpgsql stable as $$
declare
  v_run bigint;
  v_why jsonb;
begin
  select e.run_no into v_run from execution e
  where e.workflow_id = p_workflow_id and (p_chain_no is null or e.chain_no = p_chain_no) and e.state <> 'pruned'
  order by e.run desc limit 1;
  if not found then
    return null;
  end if;
  v_why := explain_run(v_run, p_depth);
  return v_why || jsonb_build_object('message', format('"%s" %s.%s', p_workflow_id, v_why ->> 'message', coalesce((
    select string_agg(format(' Its hook %s ("%s") %s.', k ->> 'hook', k ->> 'workflowName', k ->> 'message'), '' order by n)
    from jsonb_array_elements(v_why -> 'hooks') with ordinality l (k, n)), '')));
end $$;
