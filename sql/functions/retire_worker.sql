-- A worker that stopped in order declares itself dead; the next reaper, or this call, gives back what it still owns.
create or replace function retire_worker(p_worker_no int) returns void
language plpgsql as $$
begin
  perform begin_write(true);
  -- FOR UPDATE excludes a late commit of its own; the update alone would not (see lock_lease)
  perform from worker w where w.worker_no = p_worker_no and w.role = session_user for update;
  update worker set died_at = coalesce(died_at, clock()), retired = true where worker_no = p_worker_no and role = session_user;
  if found then
    -- declared dead, and here it is: it was cut off, or too busy, and nobody is to blame for its end
    update suspect set deaths = deaths - 1, lost_with = null
    where lost_with = p_worker_no and state in ('counted', 'waiting') and deaths > 0;
  end if;
  perform release_dead_workers();
end $$;
