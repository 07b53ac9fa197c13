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
  v_threads bigint[] := '{}';
  v_hints text[];
begin
  perform begin_write(p_patient);
  perform lock_lease(p_worker_no);
  perform from thread t where t.thread_no = any(p_thread_no) order by t.thread_no for no key update;
  -- pause: locked
  for i in 1 .. cardinality(p_op) loop
    if p_kind[i] in ('retry', 'release') then
      update activity_task a set
        owner = null, claim_no = null, ready_at = clock() + p_delay_ms[i] * interval '1 ms',
        attempt = a.attempt + case p_kind[i] when 'retry' then 1 else 0 end,
        last_failure = coalesce(p_payload[i], a.last_failure)
      where a.thread_no = p_thread_no[i] and a.op = p_op[i] and coalesce(a.owner, 0) = p_worker_no and a.epoch = p_epoch[i];
    else
      delete from activity_task a
      where a.thread_no = p_thread_no[i] and a.op = p_op[i] and coalesce(a.owner, 0) = p_worker_no and a.epoch = p_epoch[i];
      if found then
        insert into inbox (thread_no, op, worker_no, kind, payload)
        select t.thread_no, p_op[i], t.owner, p_kind[i], p_payload[i]
        from thread t where t.thread_no = p_thread_no[i] and t.state <> 'done';
        v_threads := v_threads || p_thread_no[i];
      end if;
    end if;
  end loop;
  if v_threads = '{}' then
    return null;
  end if;
  v_hints := wake(v_threads);
  return array_to_string(v_hints, ',');
end $$;
