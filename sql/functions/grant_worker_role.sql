-- Makes a login role a worker role of these queues and no others, or changes what it is; also one that was revoked. What its
-- workers hold goes to others, and they register anew, unless nothing changed.
-- For the owner of the schema and superusers; Durable.provisionWorkerRole makes the login role in the same transaction.
-- Locks: the grants, then the role's workers and what they hold. Raises PD003 for a role that would be more than its grants.
create or replace function grant_worker_role(p_role name, p_streams text[], p_calls text[], p_signals boolean) returns void
language plpgsql as $$
declare
  v_oid oid := quote_ident(p_role)::regrole::oid;
  v_old worker_role;
begin
  perform begin_write(true);
  if (select a.rolsuper or pg_has_role(a.oid, (select c.relowner from pg_class c where c.oid = 'execution'::regclass), 'member')
      from pg_roles a where a.oid = v_oid) then
    raise exception 'role "%" is a superuser or a member of the owner of the schema; a worker role must be neither', p_role
      using errcode = 'PD003';
  end if;
  perform checked_name('provisionWorkerRole', 'streamNames', u) from unnest(p_streams || p_calls) u;
  select r.* into v_old from worker_role r where r.role_oid = v_oid for update;
  insert into worker_role as r (role_oid, role_name, stream_names, call_names, signals, created_at)
  values (v_oid, p_role, p_streams, p_calls, p_signals, clock())
  on conflict (role_oid) do update set role_name = excluded.role_name, stream_names = excluded.stream_names,
    call_names = excluded.call_names, signals = excluded.signals, revoked_at = null;
  if v_old.role_no is null or v_old.revoked_at is not null or v_old.stream_names <> p_streams then
    perform retire_workers_of(p_role);
  end if;
  perform withdraw_grants(p_role);
  perform grant_functions(p_role, 'scoped worker');
end $$;
