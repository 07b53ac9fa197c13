-- Makes threads that are blocked ready again for a worker that has not tried them. Locks: threads, held ones skipped.
create or replace function offer_blocked_threads(p_worker_no int, p_services int[]) returns void
language plpgsql as $$
-- plans: index only
begin
  update thread t set state = 'ready', ready_at = clock(), blocked_reason = null
  from (
    select b.thread_no from thread b
    where b.service_no = any(p_services) and b.excluded is not null and b.state = 'blocked'
      and not p_worker_no = any(b.excluded) and b.excluded <> '{}'    -- quarantined: see try_suspect
    order by b.thread_no for no key update skip locked
  ) b
  where t.thread_no = b.thread_no;
end $$;
