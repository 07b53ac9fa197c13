-- Registers a worker process, or adds services to it. Idempotent by key.
-- Threads blocked for every worker seen so far are offered once to the new one.
-- Locks: worker row, then threads (skipping held ones; the reaper's next look offers those).
-- Raises PD002 when the worker was declared dead: the process then registers anew under another key.
create or replace function register_worker(
  p_key text, p_description text, p_lease_ms int,
  p_kind text[], p_task_queue text[], p_name text[]
) returns table (worker_no int, services text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_services int[];
  v_worker_no int;
  v_died_at timestamptz;
begin
  perform begin_write(true);
  v_services := ensure_services(p_kind, p_task_queue, p_name);
  insert into worker as w (worker_key, description, services, registered_at, lease_until)
  values (p_key, p_description, v_services, clock(), clock() + p_lease_ms * interval '1 ms')
  on conflict (worker_key) do update set
    services = array(select distinct s from unnest(w.services || excluded.services) s order by s),
    lease_until = case when w.died_at is null then excluded.lease_until else w.lease_until end
  returning w.worker_no, w.died_at into v_worker_no, v_died_at;
  if v_died_at is not null then
    raise exception 'worker % was declared dead', v_worker_no using errcode = 'PD002';
  end if;
  perform offer_blocked_threads(v_worker_no, v_services);
  return query select v_worker_no, array_to_json(v_services)::text;
end $$;
