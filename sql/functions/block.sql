-- This worker's code cannot run the thread (nondeterminism, unreadable payload). It stays claimable by every other
-- worker that serves it, once each, and is blocked, with the reason, when all live ones have failed.
-- Answers 'ready' (others may try), 'blocked', or 'paused' (it is tried again when it is resumed). Locks: own worker, then the thread.
create or replace function block(p_worker_no int, p_patient boolean, p_thread_no bigint, p_epoch int, p_reason text)
returns text
language plpgsql as $$
-- plans: index only
declare
  v_state text;
begin
  perform begin_write(p_patient);
  perform lock_lease(p_worker_no);
  perform from thread t where t.thread_no = p_thread_no and t.owner = p_worker_no for no key update;
  update thread t set
    owner = null, claim_no = null, affinity = null, blocked_reason = p_reason,
    excluded = coalesce(t.excluded, '{}') || p_worker_no,
    state = case when t.paused then 'paused' when others then 'ready' else 'blocked' end,
    ready_at = case when others and not t.paused then clock() end
  from (
    select exists (
      select from worker w, thread x
      where x.thread_no = p_thread_no and w.released_at is null and w.died_at is null and w.lease_until > clock()
        and x.service_no = any(w.services)
        and w.worker_no <> p_worker_no and not w.worker_no = any(coalesce(x.excluded, '{}'))) as others
  ) o
  where t.thread_no = p_thread_no and t.owner = p_worker_no and t.epoch = p_epoch
  returning t.state into v_state;
  return v_state;
end $$;
