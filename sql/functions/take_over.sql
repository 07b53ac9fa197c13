-- Declares all workers dead, at once. For an embedded database only: whoever holds its folder knows that no other
-- process can be alive. Answers hints. Locks: workers, then their threads and tasks.
create or replace function take_over() returns text
language plpgsql as $$
-- plans: index only
begin
  perform begin_write(true);
  perform from worker w where w.released_at is null and w.died_at is null order by w.worker_no for update;
  update worker set died_at = clock() where released_at is null and died_at is null;
  return array_to_string(release_dead_workers(), ',');
end $$;
