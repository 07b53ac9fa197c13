-- Why an open operation of a thread has no outcome yet. What has no row of its own is known from the history alone: an
-- activity that runs in the process that owns the thread.
create or replace function explain_operation(p_thread_no bigint, p_op int, p_depth int) returns jsonb
language plpgsql stable as $$
declare
  v_now timestamptz := clock();
  v_task activity_task;
  v_wait wait;
  v_child record;
  v_due timestamptz;
  v_command json;
  v_of jsonb;
begin
  select a.* into v_task from activity_task a where a.thread_no = p_thread_no and a.op = p_op;
  if found then
    return explain_task(v_task);
  end if;
  select w.* into v_wait from wait w where w.thread_no = p_thread_no and w.op = p_op;
  if found then
    return explain_wait(v_wait, p_depth);
  end if;
  select e.run_no, e.workflow_id into v_child from execution e
  where e.parent_thread = p_thread_no and e.parent_op = p_op and e.state in ('open', 'pending')
  order by e.run_no desc limit 1;
  if found then
    v_of := case when p_depth > 0 then explain_run(v_child.run_no, p_depth - 1) end;
    return jsonb_build_object('reason', 'child', 'of', v_of,
      'message', format('waits for child "%s"', v_child.workflow_id) || coalesce(', which ' || (v_of ->> 'message'), ''),
      'details', jsonb_build_object('workflowId', v_child.workflow_id));
  end if;
  v_command := recorded_command(p_thread_no, p_op);
  select m.due_at into v_due from timer m where m.thread_no = p_thread_no and m.op = p_op;
  if found then
    return case v_command ->> 0
      when 'retry' then jsonb_build_object('reason', 'retry',
        'message', format('failed in attempt %s and tries again %s%s', coalesce(v_command -> 4 ->> 'attempt', '?'),
          'in ' || span_in_words(v_due - v_now), coalesce('; last error: ' || failure_message((v_command -> 4 -> 'failure')::text), '')),
        'details', jsonb_strip_nulls(jsonb_build_object('attempt', (v_command -> 4 ->> 'attempt')::int, 'dueAt', moment_in_utc(v_due),
          'lastFailure', (v_command -> 4 -> 'failure')::text)))
      else jsonb_build_object('reason', 'timer',
        'message', 'waits for a timer, due ' || case when v_due > v_now then 'in ' || span_in_words(v_due - v_now)
          else span_in_words(v_now - v_due) || ' ago' end,
        'details', jsonb_build_object('dueAt', moment_in_utc(v_due)))
    end;
  end if;
  if exists (select from inbox i where i.thread_no = p_thread_no and i.op = p_op) then
    return jsonb_build_object('reason', 'delivered', 'details', '{}'::jsonb,
      'message', format('has the outcome of operation %s in its inbox', p_op));
  end if;
  return case
    when v_command ->> 0 in ('activity', 'bound') then jsonb_build_object('reason', 'activity-running',
      'message', format('waits for activity "%s", which runs in the same process', v_command ->> 1),
      'details', jsonb_build_object('activity', v_command ->> 1))
    else jsonb_build_object('reason', 'operation',
      'message', format('waits for operation %s%s', p_op, coalesce(' (' || (v_command ->> 0) || ')', '')),
      'details', jsonb_build_object('operation', p_op))
  end;
end $$;
