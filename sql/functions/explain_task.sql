-- Why an activity that has a row has no outcome yet.
create or replace function explain_task(p_task activity_task) returns jsonb
language plpgsql stable as $$
declare
  v_now timestamptz := clock();
  -- the text of the input ends with what the engine adds; arguments, which stand before, may look like it
  v_retries int := substring(p_task.input from '.*"retry":\{[^{}]*"maximumAttempts":([0-9]+)');
  v_is text := format('activity "%s", attempt %s%s', p_task.name, p_task.attempt, coalesce(' of ' || v_retries + 1, ''));
  v_last text := coalesce('; last error: ' || failure_message(p_task.last_failure), '');
  v_details jsonb := jsonb_strip_nulls(jsonb_build_object(
    'activity', p_task.name, 'attempt', p_task.attempt, 'attempts', v_retries + 1, 'losses', nullif(p_task.losses, 0),
    'taskQueue', (select s.task_queue from service s where s.service_no = p_task.service_no),
    'startedAt', moment_in_utc(p_task.started_at), 'heartbeatAt', moment_in_utc(p_task.beat_at),
    'lastFailure', p_task.last_failure));
  v_due timestamptz;
  v_worker worker;
  v_nobody jsonb;
begin
  if p_task.outside then
    return jsonb_build_object('reason', 'activity-outside', 'details', v_details,
      'message', format('waits for %s to be completed from outside, by its task token', v_is));
  end if;
  if p_task.owner is not null then
    select w.* into v_worker from worker w where w.worker_no = p_task.owner;
    v_details := v_details || jsonb_build_object('worker', p_task.owner, 'description', v_worker.description);
    if v_worker.died_at is null and v_worker.lease_until > v_now then
      return jsonb_build_object('reason', 'activity-running', 'details', v_details,
        'message', format('waits for %s, which runs on %s%s%s%s', v_is, worker_in_words(p_task.owner),
          coalesce(' since ' || span_in_words(v_now - p_task.started_at), ''),
          coalesce('; its last heartbeat was ' || span_in_words(v_now - p_task.beat_at) || ' ago', ''), v_last));
    end if;
    return jsonb_build_object('reason', 'lease-expired', 'details', v_details,
      'message', format('waits for %s, which ran on %s; that has not been heard of, its lease ended %s ago, and the attempt is given to another worker',
        v_is, worker_in_words(p_task.owner), span_in_words(v_now - v_worker.lease_until)));
  end if;
  -- a bound one is its thread's: its next attempt is a timer of that
  v_due := coalesce(p_task.ready_at, (select m.due_at from timer m where m.thread_no = p_task.thread_no and m.op = p_task.op));
  v_details := v_details || jsonb_strip_nulls(jsonb_build_object('dueAt', moment_in_utc(v_due)));
  if v_due > v_now then
    return jsonb_build_object('reason', 'activity-retry', 'details', v_details,
      'message', format('waits for %s, due in %s%s', v_is, span_in_words(v_due - v_now), v_last));
  end if;
  v_nobody := case when p_task.service_no <> 0 then explain_service(p_task.service_no) end;
  if v_nobody is not null then
    return v_nobody || jsonb_build_object('details', v_details || (v_nobody -> 'details'),
      'message', format('waits for %s, but %s%s', v_is, v_nobody ->> 'message', v_last));
  end if;
  return jsonb_build_object('reason', 'activity-queued', 'details', v_details,
    'message', format('waits for %s, which waits for room in a worker%s%s', v_is,
      coalesce(' since ' || span_in_words(v_now - v_due), ''), v_last));
end $$;
