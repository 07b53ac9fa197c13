-- Declares the workers of a role dead, and gives what they hold to others. Waits for commits of theirs that are under way.
-- Locks: the workers, then their threads and tasks.
create or replace function retire_workers_of(p_role name) returns void
language plpgsql as $$
begin
  perform begin_write(true);
  perform from worker w where w.role = p_role and w.released_at is null order by w.worker_no for update;
  update worker w set died_at = clock() where w.role = p_role and w.died_at is null;
  perform release_dead_workers();
end $$;
