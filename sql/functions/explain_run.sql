-- Why a run is not moving: what explain_thread says of its main thread, or what holds for all of it, and of its open hooks.
create or replace function explain_run(p_run_no bigint, p_depth int) returns jsonb
language plpgsql stable as $$
declare
  v_now timestamptz := clock();
  e execution;
  v_result text;
  v_why jsonb;
  v_hooks jsonb := '[]';
begin
  select x.* into e from execution x where x.run_no = p_run_no;
  if e.state = 'pending' then
    v_why := jsonb_build_object('reason', 'reserved', 'waitsFor', '[]'::jsonb,
      'message', format('is only reserved, for another %s: a start of its id without `pending` begins it', span_in_words(e.due_at - v_now)),
      'details', jsonb_build_object('reservedUntilAt', moment_in_utc(e.due_at)));
  elsif e.state <> 'open' then
    v_result := (select h.result from history h where h.thread_no = p_run_no and h.closes order by h.seq desc limit 1);
    v_why := jsonb_build_object('reason', 'finished', 'waitsFor', '[]'::jsonb,
      'message', format('%s %s ago', case e.state when 'completed' then 'completed' when 'failed' then 'failed'
          when 'continued' then 'continued as a new run' else 'was ' || e.state end, span_in_words(v_now - e.closed_at))
        || case when e.state in ('failed', 'cancelled', 'terminated') then coalesce(': ' || failure_message(v_result), '') else '' end
        || case e.state when 'failed' then '; handle.retry() tries it again from the step that failed' else '' end,
      'details', jsonb_strip_nulls(jsonb_build_object('closedAt', moment_in_utc(e.closed_at),
        'lastFailure', case when e.state in ('failed', 'cancelled', 'terminated') then v_result end)));
  elsif e.paused_at is not null then
    v_why := jsonb_build_object('reason', 'paused', 'waitsFor', '[]'::jsonb,
      'message', format('has been paused for %s%s; handle.resume() lets it go on%s', span_in_words(v_now - e.paused_at),
        coalesce(': ' || e.pause_reason, ''), coalesce((
          select '; ' || string_agg(worker_in_words(t.owner), ', ' order by t.owner) || ' still finishes what was under way'
          from thread t where t.run_no = p_run_no and t.owner is not null), '')),
      'details', jsonb_strip_nulls(jsonb_build_object('pausedAt', moment_in_utc(e.paused_at), 'pauseReason', e.pause_reason)));
  else
    v_why := explain_thread(p_run_no, p_depth);
    select coalesce(jsonb_agg(jsonb_build_object('hook', k.hook_no, 'workflowName', s.name, 'taskQueue', s.task_queue) || w.why
      order by k.hook_no), '[]') into v_hooks
    from (select * from hook x where x.run_no = p_run_no and x.state = 'open' order by x.hook_no limit 20) k
    join thread t on t.thread_no = k.thread_no
    join service s on s.service_no = t.service_no
    cross join lateral (select explain_thread(k.thread_no, p_depth) as why offset 0) w;
  end if;
  return jsonb_build_object('workflowId', e.workflow_id, 'run', e.run, 'status', e.state, 'cancelRequested', e.cancel_requested,
    'hooks', v_hooks)
    || case when e.state = 'open' and e.due_at is not null then jsonb_build_object('timesOutAt', moment_in_utc(e.due_at)) else '{}' end
    || v_why;
end $$;
