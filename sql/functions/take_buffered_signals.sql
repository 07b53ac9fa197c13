-- Gives buffered signals to waits that were registered in this transaction: first accepted, first taken.
-- The caller holds the rendezvous rows (shared) and the waiting threads. Two waiters of other transactions cannot take
-- the same signal: its row is locked by the delete, and a lost race looks for the next one.
-- Returns one row per wait that found a signal; that wait is gone again.
create or replace function take_buffered_signals(p_thread_no bigint[], p_op int[])
returns table (thread_no bigint, op int, payload text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_wait record;
  v_signal_no bigint;
begin
  -- in one order, whatever the order of the waits: two waiters of several ids must not wait for each other
  perform from signal s
  where s.signal_no = any(array(
    select c.signal_no
    from (
      select w.signal_id, count(*) as n from unnest(p_thread_no, p_op) u (thread_no, op)
      cross join lateral (select x.signal_id from wait x where x.thread_no = u.thread_no and x.op = u.op offset 0) w
      group by 1
    ) i
    cross join lateral (
      select x.signal_no from signal x where x.signal_id = i.signal_id order by x.signal_no limit i.n) c))
  order by s.signal_no for update;
  for v_wait in
    select w.* from unnest(p_thread_no, p_op) u (thread_no, op)
    cross join lateral (select x.* from wait x where x.thread_no = u.thread_no and x.op = u.op offset 0) w
    where exists (select from signal s where s.signal_id = w.signal_id)
    order by w.wait_no
  loop
    select s.signal_no, s.payload into v_signal_no, payload from signal s
    where s.signal_id = v_wait.signal_id and (s.chain_no is null or s.chain_no = v_wait.chain_no)
      and s.expires_at > clock()
    order by s.signal_no limit 1
    for update;
    if found then
      delete from signal s where s.signal_no = v_signal_no;
      delete from wait w where w.thread_no = v_wait.thread_no and w.op = v_wait.op;
      thread_no := v_wait.thread_no;
      op := v_wait.op;
      return next;
    end if;
  end loop;
end $$;
