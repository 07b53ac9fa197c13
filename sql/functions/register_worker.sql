-- Registers a worker process, or adds services to it. Idempotent by key.
-- Threads blocked for every worker seen so far are offered once to the new one.
-- A worker of a scoped role registers what it was granted, and nothing else (42501): whatever it does later it does through
-- its row, so here its queues are decided.
-- Locks: worker row, then threads (skipping held ones; the reaper's next look offers those).
-- p_schema_version: of the library that registers; null: of one that does not say.
-- Raises PD005 when the schema works with that no more. Raises PD002 when the worker was declared dead: the process then registers anew under another key.
create or replace function register_worker(
  p_key text, p_description text, p_lease_ms int,
  p_kind text[], p_task_queue text[], p_name text[], p_schema_version int default null
) returns table (worker_no int, services text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_services int[];
  v_worker_no int;
  v_died_at timestamptz;
  v_oldest int;
  v_grants worker_role;
begin
  perform begin_write(true);
  v_grants := own_grants();
  if v_grants.role_no is not null then
    perform assert_served(v_grants, u.kind, u.task_queue) from unnest(p_kind, p_task_queue) u (kind, task_queue);
    perform checked_name('register_worker', 'name', u) from unnest(p_task_queue) u;
    perform checked_name('register_worker', 'name', u.name) from unnest(p_kind, p_name) u (kind, name) where u.name is distinct from '';
    p_description := left(p_description, 500);
    p_lease_ms := least(p_lease_ms, 3600000);
  end if;
  v_services := ensure_services(p_kind, p_task_queue, p_name);
  insert into worker as w (worker_key, description, services, role, scoped, registered_at, lease_until, schema_version)
  values (p_key, p_description, v_services, session_user, v_grants.role_no is not null, clock(), clock() + p_lease_ms * interval '1 ms',
    p_schema_version)
  on conflict (worker_key) do update set
    services = array(select distinct s from unnest(w.services || excluded.services) s order by s),
    lease_until = case when w.died_at is null then excluded.lease_until else w.lease_until end
  where w.role = session_user and w.scoped = excluded.scoped
  returning w.worker_no, w.died_at into v_worker_no, v_died_at;
  if v_worker_no is null then
    raise exception 'the key of this worker is taken by another role' using errcode = '42501';
  end if;
  if v_died_at is not null then
    raise exception 'worker % was declared dead', v_worker_no using errcode = 'PD002';
  end if;
  -- Behind the insert: a migration that leaves old libraries behind locks the table and looks for their workers. Whoever waited for
  -- it is seen here.
  select s.oldest_client into v_oldest from schema_info s;
  if p_schema_version < v_oldest then
    raise exception 'the schema needs a library of schema version % or newer; this one has %. Upgrade the library', v_oldest, p_schema_version
      using errcode = 'PD005';
  end if;
  perform offer_blocked_threads(v_worker_no, v_services);
  return query select v_worker_no, array_to_json(v_services)::text;
end $$;
