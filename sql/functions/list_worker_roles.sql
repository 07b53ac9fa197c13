-- The worker roles of this schema, oldest first, those that were revoked too. Those whose role was dropped say so ('gone').
-- Moments in milliseconds.
create or replace function list_worker_roles()
returns table (
  role_no int, role_name text, stream_names text, call_names text, signals boolean, gone boolean,
  created_ms double precision, revoked_ms double precision, rotated_ms double precision
)
language sql stable as $$
  select r.role_no, r.role_name, array_to_json(r.stream_names)::text, array_to_json(r.call_names)::text, r.signals,
    not exists (select from pg_roles a where a.oid = r.role_oid and a.rolname = r.role_name),
    extract(epoch from r.created_at)::double precision * 1000, extract(epoch from r.revoked_at)::double precision * 1000,
    extract(epoch from r.last_rotated_at)::double precision * 1000
  from worker_role r order by r.role_no
$$;
