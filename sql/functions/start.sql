-- Starts executions. One call for many; an id that is taken refuses only itself. A retry is recognised by its request
-- number on the row. A reservation is filled by the first start of its id. Starts that say more than what to run
-- (p_terms, see start_on_terms) make the whole call go another way: the client sends them apart.
-- A worker of the caller's process may take what it starts of its own services (p_here) in the same breath, as by a claim of
-- number p_claim_no: no claim has to follow, and the thread is written once. Not what fills a reservation, and nothing on terms.
-- Answers: 'started' | 'duplicate', on terms also 'existing', with the run's number, and whether the worker owns it; then hints on row 0.
-- Raises PD001, PD002 (the worker's lease is over), 40001 (what carried an id was deleted meanwhile: start over), 42501.
-- Locks: own worker, services, new execution rows (unique id), reserved executions, their documents and threads.
create or replace function start(
  p_patient boolean, p_request_no bigint[], p_workflow_id text[], p_task_queue text[], p_workflow_name text[],
  p_args text[], p_config text[], p_expire_s double precision[], p_signal_in boolean[], p_terms text[],
  p_entity text[], p_search text[], p_parent_workflow_id text[], p_origin_id text[], p_trace text[] default '{}',
  p_worker_no int default null, p_claim_no bigint default null, p_here int[] default '{}'
) returns table (item int, status text, run_no bigint, service_no int, at_ms double precision, owned boolean)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_services int[];
  v_now timestamptz;
  v_made int;
  v_old record;
  v_run execution;
  v_answered int;
  v_hints text[];
  v_scope int[];
begin
  perform begin_write(p_patient);
  if p_worker_no is not null then
    v_scope := lock_lease(p_worker_no);
    if not p_here <@ v_scope then
      raise exception 'worker % may not serve these workflows', p_worker_no using errcode = '42501';
    end if;
    -- pause: leased
  end if;
  v_services := ensure_services(array_fill('workflow'::text, array[cardinality(p_workflow_id)]), p_task_queue, p_workflow_name);
  if array_remove(p_terms, null) <> '{}' then
    return query
    select s.item, s.status, s.run_no, null::int, null::double precision, false from start_on_terms(p_request_no, p_workflow_id, v_services, p_args, p_config, p_expire_s, p_signal_in, p_terms,
      p_entity, p_search, p_parent_workflow_id, p_origin_id, p_trace) s;
    return;
  end if;
  v_now := clock();
  with asked as materialized (
    select nextval('run_number') as run_no, u.*, v_services[u.n] as service_no
    from unnest(p_request_no, p_workflow_id, p_args, p_config, p_expire_s, p_signal_in, p_entity,
      p_parent_workflow_id, p_origin_id, p_trace) with ordinality
      u (request_no, workflow_id, args, config, expire_s, signal_in, entity, parent_workflow_id, origin_id, trace, n)
  ), made as (
    insert into execution (run_no, chain_no, request_no, run, service_no, expire_s, created_at,
      signal_in, cancel_requested, workflow_id, state, cause, args, config, parent_workflow_id, origin_id, entity, trace)
    select a.run_no, a.run_no, a.request_no, 0, a.service_no, a.expire_s, v_now,
      a.signal_in, false, a.workflow_id, 'open', 'start', a.args, a.config, a.parent_workflow_id, a.origin_id, a.entity, a.trace
    from asked a order by a.workflow_id
    on conflict (workflow_id, run) do nothing
    returning run_no, service_no
  ), threads as (
    insert into thread (thread_no, run_no, service_no, state, ready_at, epoch, owner, claim_no)
    select m.run_no, m.run_no, m.service_no, case when h.here then 'owned' else 'ready' end,
      case when not h.here then v_now end, case when h.here then 1 else 0 end,
      case when h.here then p_worker_no end, case when h.here then p_claim_no end
    from made m cross join lateral (select m.service_no = any(p_here) as here) h
    returning thread_no
  )
  select count(*) into v_made from threads;
  -- pause: inserted
  if v_made < cardinality(p_workflow_id) then
    for v_old in
      select e.run_no, u.n from unnest(p_workflow_id, p_request_no) with ordinality u (workflow_id, request_no, n)
      cross join lateral (select latest_run(u.workflow_id) as run_no offset 0) l
      join execution e on e.run_no = l.run_no
      where e.state = 'pending' and e.request_no <> u.request_no
      order by e.run_no, u.n
      for no key update of e
    loop
      v_run.request_no := p_request_no[v_old.n];
      v_run.service_no := v_services[v_old.n];
      v_run.args := p_args[v_old.n];
      v_run.config := p_config[v_old.n];
      v_run.expire_s := p_expire_s[v_old.n];
      v_run.signal_in := p_signal_in[v_old.n];
      v_run.entity := p_entity[v_old.n];
      v_run.parent_workflow_id := p_parent_workflow_id[v_old.n];
      v_run.origin_id := p_origin_id[v_old.n];
      v_run.trace := p_trace[v_old.n];
      perform fill_reservation(v_old.run_no, v_run, null, p_search[v_old.n]);
    end loop;
  end if;
  if v_made > 0 and array_remove(p_search, null) <> '{}' then
    -- of the runs made here: the document of one that an earlier call made has moved on
    insert into document (run_no, search)
    select e.run_no, u.search::jsonb
    from unnest(p_request_no, p_workflow_id, p_search) u (request_no, workflow_id, search)
    cross join lateral (
      select x.run_no from execution x
      where x.workflow_id = u.workflow_id and x.run = 0 and x.request_no = u.request_no and x.state = 'open' offset 0) e
    where u.search is not null
    order by e.run_no
    on conflict (run_no) do nothing;
  end if;
  return query
  select u.n::int, case when e.request_no = u.request_no then 'started' else 'duplicate' end, e.run_no, e.service_no,
    extract(epoch from e.created_at)::double precision * 1000, p_worker_no is not null and exists (
      -- asked, not concluded: a call whose answer was lost is sent again
      select from thread t
      where t.thread_no = e.run_no and t.owner = p_worker_no and t.claim_no = p_claim_no and t.epoch = 1 and e.request_no = u.request_no)
  from unnest(p_workflow_id, p_request_no) with ordinality u (workflow_id, request_no, n)
  join lateral (
    select x.run_no, x.request_no, x.service_no, x.created_at from execution x where x.workflow_id = u.workflow_id
    order by (x.request_no = u.request_no) desc, x.run desc limit 1
  ) e on true;
  get diagnostics v_answered = row_count;
  if v_answered < cardinality(p_workflow_id) then
    raise exception 'an id was freed meanwhile' using errcode = '40001';
  end if;
  -- what was not made here may have become ready all the same
  v_hints := array(
    select distinct 'q' || s from unnest(v_services) s where v_made < cardinality(p_workflow_id) or not s = any(p_here));
  return query select 0, array_to_string(v_hints, ','), null::bigint, null::int, null::double precision, false;
end $$;
