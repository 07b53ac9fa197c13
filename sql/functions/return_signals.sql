-- Signals that a run received but ended without consuming went back into the buffer in their old place. Somebody may be
-- waiting for them: this finds those waiters, under the same locks as a sender. Called when a run put something back,
-- and by every worker's housekeeping.
-- Locks: rendezvous (alone), then threads (held ones skipped), then the returned signals. Answers hints.
create or replace function return_signals() returns text[]
language plpgsql as $$
-- plans: index only
declare
  v_ids text[];
  v_locked bigint[];
  v_handed record;
begin
  v_ids := array(select distinct s.signal_id from signal s where s.returned and s.expires_at > clock() limit 100);
  if v_ids = '{}' then
    return '{}';
  end if;
  perform lock_rendezvous(v_ids, true);
  v_locked := array(
    select t.thread_no from thread t
    where t.thread_no in (select w.thread_no from wait w where w.signal_id = any(v_ids))
    order by t.thread_no for no key update skip locked);
  select h.* into v_handed from hand_out_returned(v_ids, v_locked) h;
  perform forget_rendezvous(v_ids);
  return wake(v_handed.woken);
end $$;
