-- Declares workers dead whose lease is over and gives their threads and tasks to others. Every worker calls it every
-- 2 s; nothing else is needed for recovery. Answers hints for whoever should look.
-- Locks: expired workers (held ones, i.e. those committing this moment, are skipped), then threads, then tasks.
create or replace function reap() returns text
language plpgsql as $$
-- plans: index only
begin
  perform begin_write(false);
  update worker w set died_at = clock()
  from (
    select x.worker_no from worker x
    where x.released_at is null and x.died_at is null and x.lease_until < clock()
    order by x.worker_no for update skip locked
  ) x
  where w.worker_no = x.worker_no and w.died_at is null and w.lease_until < clock();
  -- pause: declared
  return array_to_string(release_dead_workers(), ',');
end $$;
