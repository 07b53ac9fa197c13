-- What a condition waits for, or whose outcome the opener of a hook awaits. p_depth: how many threads and runs further on.
create or replace function explain_wait(p_wait wait, p_depth int) returns jsonb
language plpgsql stable as $$
declare
  v_now timestamptz := clock();
  v_timeout timestamptz := (select m.due_at from timer m where m.thread_no = p_wait.thread_no and m.op = p_wait.op);
  v_hook hook;
  v_of jsonb;
  v_similar jsonb;
begin
  select k.* into v_hook from hook k join thread t on t.thread_no = p_wait.thread_no
  where k.run_no = t.run_no and k.opener_thread = p_wait.thread_no and k.opener_op = p_wait.op;
  if found then
    v_of := case when p_depth > 0 and v_hook.state = 'open' then explain_thread(v_hook.thread_no, p_depth - 1) end;
    return jsonb_build_object('reason', 'hook',
      'message', format('waits for hook %s to send "%s"', v_hook.hook_no, p_wait.signal_id)
        || coalesce(', which ' || (v_of ->> 'message'), case when v_hook.state <> 'open' then ', which ended without doing so' end, ''),
      'details', jsonb_build_object('hook', v_hook.hook_no, 'signalId', p_wait.signal_id, 'state', v_hook.state),
      'of', v_of);
  end if;
  v_similar := similar_signals(p_wait.signal_id, p_wait.chain_no);
  return jsonb_build_object('reason', 'signal',
    'message', format('waits for signal "%s", which nobody has sent%s%s', p_wait.signal_id,
      coalesce(' (times out in ' || span_in_words(v_timeout - v_now) || ')', ''),
      coalesce('; kept signals of similar name: ' || (
        select string_agg(format('"%s" (%s, sent to %s)', s ->> 'signalId', s ->> 'count', s ->> 'sentTo'), ', ' order by n)
        from jsonb_array_elements(v_similar) with ordinality l (s, n)), '')),
    'details', jsonb_strip_nulls(jsonb_build_object(
      'signalId', p_wait.signal_id, 'timesOutAt', moment_in_utc(v_timeout), 'similar', v_similar)));
end $$;
