-- Locks what it takes to end a run, out of order, hence without waiting: the execution, its threads, the parent's and those
-- of whoever awaits its hooks. Raises 55P03.
create or replace function lock_run_at_once(p_run bigint) returns void
language plpgsql as $$
-- plans: index only
begin
  perform from execution e where e.run_no = p_run for no key update nowait;
  perform from thread t
  where t.run_no = p_run
    or t.thread_no = (select e.parent_thread from execution e where e.run_no = p_run)
    or t.thread_no in (select k.opener_thread from hook k where k.run_no = p_run)
  order by t.thread_no for no key update nowait;
end $$;
