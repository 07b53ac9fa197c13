-- Starts the children of 'child' effects. A child whose id is taken is answered as (item, op, id); hints have no op.
create or replace function start_children(
  p_thread_no bigint[], e_item int[], e_kind text[], e_op int[], e_key text[], e_value text[], e_extra text[]
) returns table (item int, op int, hint text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_item int[];
  v_op int[];
  v_id text[];
  v_args text[];
  v_extra json[];
  v_services int[];
  v_made bigint[];
  v_runs bigint[];
  v_now timestamptz := clock();
begin
  select array_agg(u.item order by n), array_agg(u.op order by n), array_agg(u.k order by n), array_agg(u.v order by n),
    array_agg(u.x::json order by n)
  into v_item, v_op, v_id, v_args, v_extra
  from unnest(e_item, e_kind, e_op, e_key, e_value, e_extra) with ordinality u (item, kind, op, k, v, x, n)
  where u.kind = 'child';
  v_services := ensure_services(
    array_fill('workflow'::text, array[cardinality(v_item)]),
    array(select x ->> 'taskQueue' from unnest(v_extra) with ordinality u (x, n) order by n),
    array(select x ->> 'workflowName' from unnest(v_extra) with ordinality u (x, n) order by n));
  with asked as materialized (
    select nextval('run_number') as run_no, u.*, v_services[u.n] as service_no,
      p_thread_no[u.item] as parent_thread
    from unnest(v_item, v_op, v_id, v_args, v_extra) with ordinality u (item, op, id, args, x, n)
  ), made as (
    insert into execution (run_no, chain_no, request_no, parent_thread, parent_op, parent_chain, run, service_no, expire_s, created_at,
      signal_in, cancel_requested, workflow_id, state, cause, args, config, parent_workflow_id, origin_id, entity, trace)
    select a.run_no, a.run_no, (random() * 281474976710655)::bigint,
      case when (a.x ->> 'awaited')::boolean then a.parent_thread end, case when (a.x ->> 'awaited')::boolean then a.op end,
      (select e.chain_no from thread t join execution e on e.run_no = t.run_no where t.thread_no = a.parent_thread),
      0, a.service_no, (a.x ->> 'expire')::double precision, v_now,
      coalesce((a.x ->> 'signalIn')::boolean, true), false, a.id, 'open', 'start', a.args, a.x ->> 'config',
      a.x ->> 'parentWorkflowId', a.x ->> 'originId', a.x ->> 'entity', a.x ->> 'trace'
    from asked a
    order by a.id
    on conflict (workflow_id, run) do nothing
    returning run_no, service_no
  ), threads as (
    insert into thread (thread_no, run_no, service_no, state, ready_at, epoch)
    select m.run_no, m.run_no, m.service_no, 'ready', v_now, 0 from made m
    returning run_no
  )
  select array_agg(a.n), array_agg(a.run_no) into v_made, v_runs from threads t join asked a using (run_no);
  if exists (select from unnest(v_extra) x where json_typeof(x -> 'search') = 'object') then
    insert into document (run_no, search)
    select u.run_no, (v_extra[u.n] -> 'search')::jsonb
    from unnest(v_made, v_runs) u (n, run_no)
    where json_typeof(v_extra[u.n] -> 'search') = 'object';
  end if;
  return query
  select u.item, u.op, u.id from unnest(v_item, v_op, v_id) with ordinality u (item, op, id, n)
  where not u.n = any(coalesce(v_made, '{}'));
  return query
  select distinct 0, null::int, 'q' || s from unnest(v_services) s;
end $$;
