-- Asks open runs to cancel: once per run, one event for each of its threads. The caller holds executions and threads.
create or replace function cancel_runs(p_runs bigint[]) returns text[]
language plpgsql as $$
-- plans: index only
declare
  v_threads bigint[];
begin
  with asked as (
    update execution set cancel_requested = true
    where run_no = any(p_runs) and state = 'open' and not cancel_requested
    returning run_no
  ), told as (
    insert into inbox (thread_no, worker_no, kind)
    select t.thread_no, t.owner, 'cancel'
    from asked a
    cross join lateral (
      select x.thread_no, x.owner from thread x where x.run_no = a.run_no and x.state <> 'done' offset 0) t
    returning thread_no
  )
  select coalesce(array_agg(thread_no), '{}') into v_threads from told;
  return wake(v_threads);
end $$;
