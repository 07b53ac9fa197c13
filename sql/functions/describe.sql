-- One workflow as it stands: its newest run, or the newest run of the given chain.
create or replace function describe(p_workflow_id text, p_chain_no bigint)
returns table (
  run_no bigint, chain_no bigint, run int, state text, cause text, task_queue text, workflow_name text,
  created_ms double precision, closed_ms double precision, updated_ms double precision, cancel_requested boolean,
  parent_workflow_id text, origin_id text, entity text, search text, args text, result text,
  thread_state text, blocked_reason text, entries int
)
language plpgsql stable as $$
-- plans: index only
#variable_conflict use_column
begin
  return query
  select e.run_no, e.chain_no, e.run, e.state, e.cause, s.task_queue, s.name,
    extract(epoch from e.created_at)::double precision * 1000, extract(epoch from e.closed_at)::double precision * 1000,
    extract(epoch from coalesce(h.at, e.created_at))::double precision * 1000, e.cancel_requested,
    e.parent_workflow_id, e.origin_id, e.entity, d.search::text, e.args, h.result,
    t.state, t.blocked_reason, coalesce(h.seq + 1, 0)
  from execution e
  join service s on s.service_no = e.service_no
  join thread t on t.thread_no = e.run_no
  left join document d on d.run_no = e.run_no
  left join lateral (
    select x.at, x.seq, x.result from history x where x.thread_no = e.run_no order by x.seq desc limit 1) h on true
  where e.workflow_id = p_workflow_id and (p_chain_no is null or e.chain_no = p_chain_no)
  order by e.run desc limit 1;
end $$;
