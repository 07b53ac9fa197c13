-- Whether code of a thread may end a run, replace it or open a hook in it: any of its worker's queues, and those its own chain
-- started. For roles that are no worker roles: any. Asked at the row that is about to be touched, since an id may have been given
-- to another run a moment ago.
create or replace function is_reachable(p_run_no bigint, p_thread_no bigint) returns boolean
language plpgsql stable as $$
-- plans: index only
declare
  v_grants worker_role := caller_grants();
begin
  return v_grants.role_no is null or p_run_no is null or exists (
    select from execution e
    where e.run_no = p_run_no and (
      is_served(v_grants.stream_names, 'workflow', (select s.task_queue from service s where s.service_no = e.service_no))
      or e.parent_chain = (
        select o.chain_no from thread t join execution o on o.run_no = t.run_no where t.thread_no = p_thread_no)));
end $$;
