-- A worker that stopped in order declares itself dead; the next reaper, or this call, gives back what it still owns.
create or replace function retire_worker(p_worker_no int) returns void
language plpgsql as $$
begin
  perform begin_write(true);
  update worker set died_at = clock() where worker_no = p_worker_no and died_at is null;
  perform release_dead_workers();
end $$;
