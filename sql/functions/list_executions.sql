-- A page of the executions that a filter selects, as people look at them: see find_executions.
create or replace function list_executions(p_filter jsonb, p_after bigint, p_limit int) returns table (
  run_no bigint, chain_no bigint, workflow_id text, run int, state text, cause text, task_queue text, workflow_name text,
  started_ms double precision, closed_ms double precision, cancel_requested boolean, blocked boolean,
  parent_workflow_id text, origin_id text, entity text, search text
)
language sql stable as $$
  select e.run_no, e.chain_no, e.workflow_id, e.run, e.state, e.cause, s.task_queue, s.name,
    extract(epoch from e.created_at)::double precision * 1000, extract(epoch from e.closed_at)::double precision * 1000,
    e.cancel_requested,
    e.closed_at is null and exists (
      select from thread t where t.run_no = e.run_no and t.excluded is not null and t.state = 'blocked'),
    e.parent_workflow_id, e.origin_id, e.entity, d.search::text
  from find_executions(p_filter, p_after, p_limit) f
  join execution e on e.run_no = f.run_no
  join service s on s.service_no = e.service_no
  left join document d on d.run_no = e.run_no
  order by e.run_no desc
$$;
