-- Notes heartbeats of claimed tasks and what they say. Answers per task, in order: ok; gone, when it is no longer this
-- worker's (cancelled, timed out, answered from outside); held, when somebody is at it: try again.
-- Locks: own worker, then the tasks (held ones skipped); never a thread.
create or replace function heartbeat_tasks(
  p_worker_no int, p_thread_no bigint[], p_op int[], p_epoch int[], p_details text[]
) returns text
language plpgsql as $$
-- plans: index only
declare
  v_answers text[] := '{}';
begin
  perform begin_write(false);
  perform lock_lease(p_worker_no);
  for i in 1 .. cardinality(p_op) loop
    perform from activity_task a
    where a.thread_no = p_thread_no[i] and a.op = p_op[i] and coalesce(a.owner, 0) = p_worker_no and a.epoch = p_epoch[i]
    for no key update skip locked;
    -- pause: locked
    if found then
      update activity_task a set details = coalesce(p_details[i], a.details), beat_at = clock()
      where a.thread_no = p_thread_no[i] and a.op = p_op[i];
      v_answers := v_answers || 'ok'::text;
    elsif exists (
      select from activity_task a
      where a.thread_no = p_thread_no[i] and a.op = p_op[i] and coalesce(a.owner, 0) = p_worker_no and a.epoch = p_epoch[i]) then
      v_answers := v_answers || 'held'::text;
    else
      v_answers := v_answers || 'gone'::text;
    end if;
  end loop;
  return array_to_string(v_answers, ',');
end $$;
