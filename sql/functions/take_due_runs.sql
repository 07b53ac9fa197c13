-- Where runs are archived before they are pruned: up to p_limit that are due, for the caller to archive and then to prune
-- (prune_archived). For p_again_s seconds nobody else gets them; then they are due again, should they still be there.
-- Locks: the notes (held ones skipped).
create or replace function take_due_runs(p_limit int, p_again_s double precision)
returns table (
  run_no bigint, run int, workflow_id text, state text, cause text, task_queue text, workflow_name text,
  created_ms double precision, closed_ms double precision, parent_workflow_id text, origin_id text, entity text, args text, config text,
  result text, search text, document text, threads text
)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_note record;
  v_ids tid[] := '{}';
  v_runs bigint[] := '{}';
begin
  perform begin_write(false);
  for v_note in
    select p.ctid as id, p.runs from pruning p
    where p.due_at <= (select clock()) and p.runs <> '{}'
    order by p.due_at limit 100 for update skip locked
  loop
    v_ids := v_ids || v_note.id;
    v_runs := v_runs || v_note.runs;
    exit when cardinality(v_runs) >= p_limit;
  end loop;
  -- pause: taken
  insert into pruning (due_at, runs, threads)
  select p.due_at, '{}', p.threads from pruning p where p.ctid = any(v_ids) and p.threads <> '{}';
  delete from pruning p where p.ctid = any(v_ids);
  -- a stripped one was archived before
  v_runs := array(
    select e.run_no from execution e
    where e.run_no = any(v_runs) and e.state not in ('open', 'pending', 'pruned')
    order by e.run_no);
  insert into pruning (due_at, runs)
  select clock() + p_again_s * interval '1 s', v_runs[1 : p_limit] where v_runs <> '{}'
  union all
  select clock(), v_runs[p_limit + 1 :] where cardinality(v_runs) > p_limit;
  return query
  select e.run_no, e.run, e.workflow_id, e.state, e.cause, s.task_queue, s.name,
    extract(epoch from e.created_at)::double precision * 1000, extract(epoch from e.closed_at)::double precision * 1000,
    e.parent_workflow_id, e.origin_id, e.entity, e.args, e.config, h.result, d.search::text, d.entity::text,
    array_to_json(array(select t.thread_no from thread t where t.run_no = e.run_no order by t.thread_no))::text
  from execution e
  join service s on s.service_no = e.service_no
  left join document d on d.run_no = e.run_no
  left join lateral (
    select x.result from history x where x.thread_no = e.run_no order by x.seq desc limit 1) h on true
  where e.run_no = any(v_runs[1 : p_limit])
  order by e.run_no;
end $$;
