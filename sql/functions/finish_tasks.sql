-- Records outcomes of claimed tasks: 'done' and 'fail' go into the thread's inbox, 'retry' waits p_delay_ms for the
-- next attempt, 'release' gives it back unharmed. A task that is no longer this worker's is left alone, which is also
-- what a repeated call finds.
-- Locks: own worker, then the threads (sorted), then the tasks, re-checked. Answers hints.
create or replace function finish_tasks(
  p_worker_no int, p_patient boolean, p_thread_no bigint[], p_op int[], p_epoch int[], p_kind text[], p_payload text[],
  p_delay_ms double precision[]
) returns text
language plpgsql as $$
-- plans: index only
declare
  v_threads bigint[];
  v_hints text[];
begin
  perform begin_write(p_patient);
  perform lock_lease(p_worker_no);
  perform from thread t where t.thread_no = any(p_thread_no) order by t.thread_no for no key update;
  -- pause: locked
  update activity_task a set
    owner = null, claim_no = null, ready_at = clock() + u.delay_ms * interval '1 ms',
    attempt = a.attempt + case u.kind when 'retry' then 1 else 0 end,
    last_failure = coalesce(u.payload, a.last_failure)
  from unnest(p_thread_no, p_op, p_epoch, p_kind, p_payload, p_delay_ms) u (thread_no, op, epoch, kind, payload, delay_ms)
  where u.kind in ('retry', 'release') and a.thread_no = u.thread_no and a.op = u.op and a.owner = p_worker_no and a.epoch = u.epoch;
  with finished as (
    delete from activity_task a
    using unnest(p_thread_no, p_op, p_epoch, p_kind, p_payload) u (thread_no, op, epoch, kind, payload)
    where u.kind in ('done', 'fail') and a.thread_no = u.thread_no and a.op = u.op and a.owner = p_worker_no and a.epoch = u.epoch
    returning a.thread_no, a.op, u.kind, u.payload
  ), told as (
    insert into inbox (thread_no, op, worker_no, kind, payload)
    select f.thread_no, f.op, t.owner, f.kind, f.payload
    from finished f join thread t on t.thread_no = f.thread_no and t.state <> 'done'
    returning thread_no
  )
  select array_agg(thread_no) into v_threads from told;
  if v_threads is null then
    return null;
  end if;
  v_hints := wake(v_threads);
  return array_to_string(v_hints, ',');
end $$;
