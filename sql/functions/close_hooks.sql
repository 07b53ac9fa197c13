-- What the end of hooks means beside that of their threads. One that failed, or ended with its run, will not send what
-- its opener awaits (execHook): so the wait ends with that failure, unless the signal came first. One that returned has
-- told what it had to tell, or left the signal to somebody else.
-- p_closing and p_result are those of p_threads; hooks not among these ended with their runs. The caller holds the
-- threads of the openers, and has set the states of all threads that end. Answers hints.
create or replace function close_hooks(p_hooks bigint[], p_threads bigint[], p_closing text[], p_result text[]) returns text[]
language plpgsql as $$
-- plans: index only
declare
  v_hook record;
  v_told bigint[] := '{}';
  v_gone text[] := '{}';
  v_id text;
begin
  update hook k set state = coalesce(p_closing[array_position(p_threads, k.thread_no)], 'ended')
  where k.thread_no = any(p_hooks);
  for v_hook in
    select k.* from hook k
    where k.thread_no = any(p_hooks) and k.opener_thread is not null and k.state <> 'completed'
    order by k.thread_no
  loop
    continue when exists (select from thread t where t.thread_no = v_hook.opener_thread and t.state = 'done');
    delete from wait w where w.thread_no = v_hook.opener_thread and w.op = v_hook.opener_op returning w.signal_id into v_id;
    continue when not found;
    v_gone := v_gone || v_id;
    v_told := v_told || v_hook.opener_thread::bigint;
    insert into inbox (thread_no, op, worker_no, kind, payload)
    select t.thread_no, v_hook.opener_op, t.owner, 'fail', case
      when v_hook.state <> 'ended' then p_result[array_position(p_threads, v_hook.thread_no)]
      else (
        select json_build_object('name', 'InactiveJobError', 'type', 'InactiveJobError', 'stack', '', 'job_id', e.workflow_id,
          'message', format('Job %s already completed', e.workflow_id), 'details', json_build_object('jobId', e.workflow_id))::text
        from execution e where e.run_no = v_hook.run_no) end
    from thread t where t.thread_no = v_hook.opener_thread;
  end loop;
  if v_told = '{}' then
    return '{}';
  end if;
  perform forget_rendezvous(v_gone);
  return wake(v_told);
end $$;
