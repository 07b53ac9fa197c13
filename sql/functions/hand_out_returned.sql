-- Gives signals that were put back (`returned`) to whoever waits for them, oldest first; those nobody waits for become
-- ordinary buffered ones. A waiter whose thread the caller has not locked is left alone, and so is the signal, until the
-- next look. Two callers cannot give out the same signal: each deletes its row first.
-- The caller holds the rendezvous rows, or the execution and threads of the waiters it locked (p_locked).
-- Answers the threads that got one and the numbers of the signals that were given out.
create or replace function hand_out_returned(p_signal_ids text[], p_locked bigint[], out woken bigint[], out delivered bigint[])
language plpgsql as $$
-- plans: index only
declare
  v_signal record;
  v_wait record;
begin
  woken := '{}';
  delivered := '{}';
  for v_signal in
    select s.* from signal s
    where s.returned and s.signal_id = any(p_signal_ids) and s.expires_at > clock()
    order by s.signal_no
  loop
    select w.* into v_wait from wait w
    where w.signal_id = v_signal.signal_id and (v_signal.chain_no is null or w.chain_no = v_signal.chain_no)
    order by w.wait_no limit 1;
    if not found then
      update signal set returned = false where signal_no = v_signal.signal_no;
    elsif v_wait.thread_no = any(p_locked) then
      delete from signal where signal_no = v_signal.signal_no;
      if found then
        delete from wait w where w.thread_no = v_wait.thread_no and w.op = v_wait.op;
        insert into inbox (thread_no, op, worker_no, kind, signal_no, chain_no, expires_at, signal_id, payload)
        select t.thread_no, v_wait.op, t.owner, 'signal', v_signal.signal_no, v_signal.chain_no, v_signal.expires_at,
          v_signal.signal_id, v_signal.payload
        from thread t where t.thread_no = v_wait.thread_no;
        woken := woken || v_wait.thread_no::bigint;
        delivered := delivered || v_signal.signal_no::bigint;
      end if;
    end if;
  end loop;
end $$;
