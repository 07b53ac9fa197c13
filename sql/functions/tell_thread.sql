-- Puts what became of an activity into its thread's inbox. The caller holds the thread's lock, and wakes it.
create or replace function tell_thread(p_thread_no bigint, p_op int, p_kind text, p_payload text) returns void
language sql as $$
-- plans: index only
  insert into inbox (thread_no, op, worker_no, kind, payload)
  select t.thread_no, p_op, t.owner, p_kind, p_payload from thread t where t.thread_no = p_thread_no and t.state <> 'done'
$$;
