-- Records outcomes of claimed tasks: 'done' and 'fail' go into the thread's inbox, 'retry' waits p_delay_ms for the
-- next attempt (or fails for good behind its scheduleToCloseTimeout), 'release' gives it back unharmed, 'outside' leaves it to
-- whoever has its task token. p_details: what its last heartbeat said, where that was not sent yet. A task that is no longer this worker's is left alone, which is also
-- what a repeated call finds.
-- Locks: own worker, then the threads (sorted), then the tasks, re-checked. Answers hints.
create or replace function finish_tasks(
  p_worker_no int, p_patient boolean, p_thread_no bigint[], p_op int[], p_epoch int[], p_kind text[], p_payload text[],
  p_delay_ms double precision[], p_details text[]
) returns text
language plpgsql as $$
-- plans: index only
declare
  v_threads bigint[] := '{}';
  v_hints text[];
  v_task activity_task;
begin
  perform begin_write(p_patient);
  if lock_lease(p_worker_no) is not null then
    perform checked_sizes('finish_tasks', p_payload || p_details);
    p_thread_no := array(                            -- it locks no thread for a task that is not its own
      select case when a.op is not null then u.thread_no else -u.n end
      from unnest(p_thread_no, p_op) with ordinality u (thread_no, op, n)
      left join lateral (
        select x.op from activity_task x
        where x.thread_no = u.thread_no and x.op = u.op and coalesce(x.owner, 0) = p_worker_no offset 0) a on true
      order by u.n);
  end if;
  perform from thread t where t.thread_no = any(p_thread_no) order by t.thread_no for no key update;
  -- pause: locked
  for i in 1 .. cardinality(p_op) loop
    if p_kind[i] = 'retry' then
      select a.* into v_task from activity_task a
      where a.thread_no = p_thread_no[i] and a.op = p_op[i] and coalesce(a.owner, 0) = p_worker_no and a.epoch = p_epoch[i]
      for no key update;
      if not found or retry_task(v_task, p_payload[i], p_details[i], p_delay_ms[i]) then
        continue;
      end if;
    end if;
    if p_kind[i] in ('release', 'outside') then
      update activity_task a set
        owner = null, claim_no = null, outside = p_kind[i] = 'outside', details = coalesce(p_details[i], a.details),
        last_failure = coalesce(p_payload[i], a.last_failure),
        ready_at = case when p_kind[i] = 'release' and a.service_no <> 0 then clock() + p_delay_ms[i] * interval '1 ms' end
      where a.thread_no = p_thread_no[i] and a.op = p_op[i] and coalesce(a.owner, 0) = p_worker_no and a.epoch = p_epoch[i];
      update activity_task a set expires_at = task_expiry(a)
      where a.thread_no = p_thread_no[i] and a.op = p_op[i] and a.limits is not null;
    else
      delete from activity_task a
      where a.thread_no = p_thread_no[i] and a.op = p_op[i] and coalesce(a.owner, 0) = p_worker_no and a.epoch = p_epoch[i];
      if found then
        insert into inbox (thread_no, op, worker_no, kind, payload)
        select t.thread_no, p_op[i], t.owner, case p_kind[i] when 'done' then 'done' else 'fail' end, p_payload[i]
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
