-- Ends sessions of worker roles that keep others waiting: such a role may undo its own timeouts, and whoever holds a row of the
-- engine in an open transaction holds up those who need it (a signal id, the counter of emitted events, a migration).
-- * It has locked our tables in a transaction of 30 s or more, and is not just about to commit: a transactional activity locks them
--   with its last statement alone. One of 10 minutes is not asked what it is about.
-- * It has been idle in a transaction for an hour, whatever it holds: nothing is vacuumed, and if it listens no notification is
--   dropped from the queue of the server.
-- Membership in the role lets the owner of this function do so; provisionWorkerRole grants it. Locks nothing. Answers how many.
create or replace function end_idle_sessions() returns int
language plpgsql as $$
declare
  v_now timestamptz := clock();
  v_ended int := 0;
  v_session record;
begin
  for v_session in
    select a.pid
    from worker_role r
    join pg_roles o on o.oid = r.role_oid and not o.rolsuper          -- which is not ended by anybody else
    join pg_stat_activity a on a.usesysid = r.role_oid
    where a.datname = current_database() and a.pid <> pg_backend_pid() and pg_has_role(r.role_oid, 'usage')
      and a.xact_start < v_now - interval '30 s' and (
        a.state like 'idle in transaction%' and a.state_change < v_now - interval '1 hour'
        or (a.state_change < v_now - interval '1 s' or a.xact_start < v_now - interval '10 minutes') and exists (
          select from pg_locks l
          join pg_class c on c.oid = l.relation
          where l.pid = a.pid and l.locktype = 'relation' and l.granted and l.mode <> 'AccessShareLock'
            and l.database = (select d.oid from pg_database d where d.datname = current_database())
            and c.relnamespace = (select e.relnamespace from pg_class e where e.oid = 'execution'::regclass)))
  loop
    if pg_terminate_backend(v_session.pid) then
      v_ended := v_ended + 1;
    end if;
  end loop;
  return v_ended;
end $$;
