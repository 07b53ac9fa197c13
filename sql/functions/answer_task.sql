-- The outcome of an activity, or a heartbeat, from outside: whoever has its task token, which names thread, operation,
-- attempt and the run's request number. p_kind: done | fail | retry (p_delay_ms) | heartbeat; p_payload is the result, the
-- failure, or the details. Outcomes are idempotent by request number.
-- Answers: done | unknown | superseded (a later attempt) | finished | early (it is only just becoming a task: try again).
-- An activity that runs eagerly has no row yet. Its outcome is taken at once: its process hands in its own only by way of a
-- row when the token was given out, and queue_tasks makes none behind this.
-- Locks: the request, the thread, the task.
create or replace function answer_task(
  p_patient boolean, p_request_no bigint, p_thread_no bigint, p_op int, p_attempt int, p_run_request bigint,
  p_kind text, p_payload text, p_delay_ms double precision
) returns table (status text, hints text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_answer text;
  v_task activity_task;
  v_hints text[] := '{}';
  v_state text;
begin
  perform begin_write(p_patient);
  if p_kind <> 'heartbeat' then
    v_answer := (remember_requests(array[p_request_no]))[1];
    if v_answer is not null then
      return query select v_answer, '';
      return;
    end if;
    -- pause: remembered
  end if;
  select t.state into v_state from thread t where t.thread_no = p_thread_no for no key update;
  -- pause: locked
  select a.* into v_task from activity_task a where a.thread_no = p_thread_no and a.op = p_op for no key update;
  v_answer := case
    when not exists (
      select from thread t join execution e on e.run_no = t.run_no
      where t.thread_no = p_thread_no and e.request_no = p_run_request) then 'unknown'
    when v_task.op is not null then
      case when v_task.attempt > p_attempt then 'superseded' when v_task.attempt < p_attempt then 'unknown' else 'done' end
    when not exists (
      select from history h
      where h.thread_no = p_thread_no and h.opened_from <= p_op and p_op < h.opened_from + h.opened_count) then 'unknown'
    when v_state = 'done' or p_attempt > 1
      or exists (select from inbox i where i.thread_no = p_thread_no and i.op = p_op)
      or exists (
        select from history h where h.thread_no = p_thread_no and (h.resolved = p_op or p_op = any(h.resolved_more))) then 'finished'
    when p_kind in ('retry', 'heartbeat') then 'early'
    else 'done'
  end;
  if v_answer = 'done' then
    if p_kind = 'heartbeat' then
      update activity_task a set details = coalesce(p_payload, a.details), beat_at = clock()
      where a.thread_no = p_thread_no and a.op = p_op;
    elsif p_kind = 'retry' and retry_task(v_task, p_payload, null, p_delay_ms) then
      if v_task.service_no = 0 then
        perform tell_thread(p_thread_no, p_op, 'again', null);
        v_hints := wake(array[p_thread_no]);
      else
        v_hints := array['q' || v_task.service_no];
      end if;
    else
      delete from activity_task a where a.thread_no = p_thread_no and a.op = p_op;
      perform tell_thread(p_thread_no, p_op, case p_kind when 'done' then 'done' else 'fail' end, p_payload);
      v_hints := wake(array[p_thread_no]);
    end if;
  end if;
  if p_kind <> 'heartbeat' and v_answer <> 'early' then
    perform answer_requests(array[p_request_no], array[v_answer]);
  end if;
  -- pause: done
  return query select v_answer, array_to_string(v_hints, ',');
end $$;
