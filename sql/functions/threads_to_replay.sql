-- What a replay of the threads of some runs needs beside their histories: as a claim hands it out. Runs that were pruned are left out.
create or replace function threads_to_replay(p_runs bigint[])
returns table (
  thread_no bigint, run_no bigint, run int, hook_no int, hook_signal text, task_queue text, workflow_name text, request_no bigint,
  created_ms double precision, parent_workflow_id text, origin_id text, trace text, expire_s double precision, lineage text,
  args text, config text
)
language plpgsql stable as $$
-- plans: index only
#variable_conflict use_column
begin
  return query
  select t.thread_no, e.run_no, e.run, k.hook_no, k.signal_id, s.task_queue, s.name, e.request_no,
    extract(epoch from e.created_at)::double precision * 1000, e.parent_workflow_id, e.origin_id, e.trace, e.expire_s, e.lineage,
    coalesce(k.args, e.args), coalesce(k.config, e.config)
  from unnest(p_runs) u (run_no)
  cross join lateral (select x.* from execution x where x.run_no = u.run_no and x.state <> 'pruned' offset 0) e
  cross join lateral (select x.thread_no, x.service_no from thread x where x.run_no = e.run_no offset 0) t
  cross join lateral (select x.task_queue, x.name from service x where x.service_no = t.service_no offset 0) s
  left join lateral (select x.* from hook x where x.thread_no = t.thread_no offset 0) k on true
  order by e.run, k.hook_no nulls first;
end $$;
