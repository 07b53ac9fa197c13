-- Starts executions, or reserves their ids (p_pending_ms). One call for many; an id that is taken refuses only itself.
-- A retry is recognised by its request number on the row. A reservation is filled by the first start of its id.
-- Answers: 'started' | 'again' (own earlier commit) | 'duplicate', with the run's number; then hints on row 0.
-- Locks: services, new execution rows (unique id), reserved executions with their threads and documents.
create or replace function start(
  p_patient boolean, p_request_no bigint[], p_workflow_id text[], p_task_queue text[], p_workflow_name text[],
  p_args text[], p_config text[], p_expire_s double precision[], p_signal_in boolean[], p_pending_ms double precision[],
  p_entity text[], p_search text[], p_parent_workflow_id text[], p_origin_id text[], p_trace text[] default '{}'
) returns table (item int, status text, run_no bigint)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_services int[];
  v_now timestamptz;
  v_made int;
  v_old record;
  v_hints text[];
begin
  perform begin_write(p_patient);
  v_services := ensure_services(array_fill('workflow'::text, array[cardinality(p_workflow_id)]), p_task_queue, p_workflow_name);
  v_now := clock();
  with asked as materialized (
    select nextval('run_number') as run_no, u.*, v_services[u.n] as service_no
    from unnest(p_request_no, p_workflow_id, p_args, p_config, p_expire_s, p_signal_in, p_pending_ms, p_entity,
      p_parent_workflow_id, p_origin_id, p_trace) with ordinality
      u (request_no, workflow_id, args, config, expire_s, signal_in, pending_ms, entity, parent_workflow_id, origin_id, trace, n)
  ), made as (
    insert into execution (run_no, chain_no, request_no, run, service_no, expire_s, created_at, pending_until,
      signal_in, cancel_requested, workflow_id, state, cause, args, config, parent_workflow_id, origin_id, entity, trace)
    select a.run_no, a.run_no, a.request_no, 0, a.service_no, a.expire_s, v_now, v_now + a.pending_ms * interval '1 ms',
      a.signal_in, false, a.workflow_id, case when a.pending_ms is null then 'open' else 'pending' end, 'start',
      a.args, a.config, a.parent_workflow_id, a.origin_id, a.entity, a.trace
    from asked a order by a.workflow_id
    on conflict (workflow_id, run) do nothing
    returning run_no, service_no, state
  ), threads as (
    insert into thread (thread_no, run_no, service_no, state, ready_at, epoch)
    select m.run_no, m.run_no, m.service_no, case m.state when 'open' then 'ready' else 'pending' end,
      case m.state when 'open' then v_now end, 0
    from made m
    returning thread_no
  )
  select count(*) into v_made from threads;
  -- pause: inserted
  if v_made < cardinality(p_workflow_id) then
    -- a reservation becomes a run; one that has lapsed is as free as one that waits
    for v_old in
      select e.run_no, u.n, u.pending_ms from unnest(p_workflow_id, p_request_no, p_pending_ms) with ordinality u (workflow_id, request_no, pending_ms, n)
      join execution e on e.workflow_id = u.workflow_id and e.run = 0
      where e.state = 'pending' and e.request_no <> u.request_no
        and (u.pending_ms is null or e.pending_until < v_now)
      order by e.run_no
      for no key update of e
    loop
      update execution e set
        request_no = p_request_no[v_old.n], service_no = v_services[v_old.n], expire_s = p_expire_s[v_old.n],
        signal_in = p_signal_in[v_old.n], args = p_args[v_old.n], config = p_config[v_old.n],
        entity = coalesce(p_entity[v_old.n], e.entity), trace = coalesce(p_trace[v_old.n], e.trace),
        state = case when v_old.pending_ms is null then 'open' else 'pending' end,
        pending_until = v_now + v_old.pending_ms * interval '1 ms', created_at = v_now
      where e.run_no = v_old.run_no and e.state = 'pending';
      update thread t set
        state = case when v_old.pending_ms is null then 'ready' else 'pending' end,
        ready_at = case when v_old.pending_ms is null then v_now end, service_no = v_services[v_old.n]
      where t.thread_no = v_old.run_no and t.state = 'pending';
      if p_search[v_old.n] is not null then
        -- whatever their size together: each is bounded by its caller, and nothing else has been added yet
        perform lock_documents(array[v_old.run_no], '{}');
        update document d set search = coalesce(d.search, '{}') || p_search[v_old.n]::jsonb where d.run_no = v_old.run_no;
      end if;
    end loop;
  end if;
  if v_made > 0 and array_remove(p_search, null) <> '{}' then
    -- of the runs made here: the document of one that an earlier call made has moved on
    insert into document (run_no, search)
    select e.run_no, u.search::jsonb
    from unnest(p_request_no, p_workflow_id, p_search) u (request_no, workflow_id, search)
    cross join lateral (
      select x.run_no from execution x
      where x.workflow_id = u.workflow_id and x.run = 0 and x.request_no = u.request_no and x.state in ('open', 'pending') offset 0) e
    where u.search is not null
    order by e.run_no
    on conflict (run_no) do nothing;
  end if;
  return query
  select u.n::int, case when e.request_no = u.request_no then 'started' else 'duplicate' end, e.run_no
  from unnest(p_workflow_id, p_request_no) with ordinality u (workflow_id, request_no, n)
  join lateral (
    select x.run_no, x.request_no from execution x where x.workflow_id = u.workflow_id
    order by (x.request_no = u.request_no) desc, x.run desc limit 1
  ) e on true;
  v_hints := array(select distinct 'q' || s from unnest(v_services) s);
  return query select 0, array_to_string(v_hints, ','), null::bigint;
end $$;
