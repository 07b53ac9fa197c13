-- Hands each signal, in order, to the longest waiter under its id (of its chain, when targeted), or buffers it.
-- The caller holds: the rendezvous rows of the ids in p_met, all those of untargeted signals, alone; the executions of targeted ones; the threads
-- that waiters_of named. When a waiter left in between, the whole call starts over (40001): taking another thread's
-- lock now would break the lock order, passing it over would break the order of waiters.
-- Where signals that were put back are still to be given out, they come first: the new one queues behind them.
-- One that would be kept where as many are kept as may be (signal_room) is 'full', and is not.
-- Returns 'delivered', 'buffered' or 'full' for each, and hints. Raises 40001.
create or replace function deliver_signals(
  p_locked bigint[], p_met text[], p_signal_id text[], p_chain_no bigint[], p_payload text[], p_expire_ms double precision[],
  out statuses text[], out hints text[]
) language plpgsql as $$
-- plans: index only
declare
  v_wait record;
  v_now timestamptz := clock();
  v_woken bigint[] := '{}';
  v_gone text[] := '{}';
  v_behind text[];
  v_queued bigint[] := '{}';
  v_signal_no bigint;
  v_handed record;
  v_is_behind boolean;
  v_whose text;
  v_kept text[] := '{}';                             -- whose signals were kept by this call,
  v_room int[] := '{}';                              -- and how many more may be; null: any number
  v_at int;
begin
  statuses := '{}';
  v_behind := array(
    select distinct s.signal_id from signal s where s.returned and s.signal_id = any(p_met) and s.expires_at > v_now);
  for i in 1 .. coalesce(array_length(p_signal_id, 1), 0) loop
    v_queued := v_queued || null::bigint;
    v_is_behind := p_signal_id[i] = any(v_behind);
    if not v_is_behind then
      select w.* into v_wait from wait w
      where w.signal_id = p_signal_id[i] and (p_chain_no[i] is null or w.chain_no = p_chain_no[i])
      order by w.wait_no limit 1;
      if found then
        if not v_wait.thread_no = any(p_locked) then
          raise exception 'a waiter for signal "%" changed meanwhile', p_signal_id[i] using errcode = '40001';
        end if;
        delete from wait w where w.thread_no = v_wait.thread_no and w.op = v_wait.op;
        insert into inbox (thread_no, op, worker_no, kind, signal_no, chain_no, expires_at, signal_id, payload)
        select t.thread_no, v_wait.op, t.owner, 'signal', nextval('signal_signal_no_seq'),
          p_chain_no[i], v_now + p_expire_ms[i] * interval '1 ms', p_signal_id[i], p_payload[i]
        from thread t where t.thread_no = v_wait.thread_no;
        v_woken := v_woken || v_wait.thread_no::bigint;
        v_gone := v_gone || p_signal_id[i];
        statuses := statuses || 'delivered'::text;
        continue;
      end if;
    end if;
    v_whose := coalesce('chain ' || p_chain_no[i], 'id ' || p_signal_id[i]);
    v_at := array_position(v_kept, v_whose);
    if v_at is null then                             -- counted once a call: a batch that is kept pays for one look
      v_kept := v_kept || v_whose;
      v_room := v_room || signal_room(p_signal_id[i], p_chain_no[i]);
      v_at := cardinality(v_kept);
    end if;
    if v_room[v_at] <= 0 then
      statuses := statuses || 'full'::text;
      continue;
    end if;
    v_room[v_at] := v_room[v_at] - 1;
    insert into signal (signal_id, chain_no, payload, expires_at, returned)
    values (p_signal_id[i], p_chain_no[i], p_payload[i], v_now + p_expire_ms[i] * interval '1 ms', v_is_behind)
    returning signal_no into v_signal_no;
    if v_is_behind then
      v_queued[i] := v_signal_no;
    end if;
    statuses := statuses || 'buffered'::text;
  end loop;
  if v_behind <> '{}' then
    select h.* into v_handed from hand_out_returned(v_behind, p_locked) h;
    v_woken := v_woken || v_handed.woken;
    v_gone := v_gone || v_behind;
    for i in 1 .. cardinality(v_queued) loop
      if v_queued[i] = any(v_handed.delivered) then
        statuses[i] := 'delivered';
      end if;
    end loop;
  end if;
  hints := wake(v_woken);
  perform forget_rendezvous(v_gone);
end $$;
