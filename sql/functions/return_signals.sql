-- Signals that a run received but ended without consuming go back into the buffer in their old place. Somebody may be
-- waiting for them: this finds those waiters, under the same locks as a sender. Called by the worker that ended the
-- run and by every reaper.
-- Locks: rendezvous (alone), then threads, then the returned signals.
create or replace function return_signals() returns text[]
language plpgsql as $$
-- plans: index only
declare
  v_signal record;
  v_wait record;
  v_ids text[];
  v_locked bigint[];
  v_woken bigint[] := '{}';
begin
  v_ids := array(select distinct s.signal_id from signal s where s.returned limit 100);
  if v_ids = '{}' then
    return '{}';
  end if;
  perform lock_rendezvous(v_ids, true);
  v_locked := array(
    select t.thread_no from thread t
    where t.thread_no in (select w.thread_no from wait w where w.signal_id = any(v_ids))
    order by t.thread_no for no key update skip locked);
  for v_signal in select s.* from signal s where s.returned and s.signal_id = any(v_ids) order by s.signal_no loop
    select w.* into v_wait from wait w
    where w.signal_id = v_signal.signal_id and (v_signal.chain_no is null or w.chain_no = v_signal.chain_no)
    order by w.wait_no limit 1;
    if not found then
      update signal set returned = false where signal_no = v_signal.signal_no;
    elsif v_wait.thread_no = any(v_locked) then     -- else: held by somebody; stays returned until the next look
      delete from wait w where w.thread_no = v_wait.thread_no and w.op = v_wait.op;
      delete from signal where signal_no = v_signal.signal_no;
      insert into inbox (thread_no, op, worker_no, kind, signal_no, chain_no, expires_at, signal_id, payload)
      select t.thread_no, v_wait.op, t.owner, 'signal', v_signal.signal_no, v_signal.chain_no, v_signal.expires_at,
        v_signal.signal_id, v_signal.payload
      from thread t where t.thread_no = v_wait.thread_no;
      v_woken := v_woken || v_wait.thread_no::bigint;
    end if;
  end loop;
  return wake(v_woken);
end $$;
