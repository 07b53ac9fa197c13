-- Lets through queues on which a worker's workflows may start something: those it serves, the activities of the queues whose
-- workflows it serves, and what it may call beside that. Raises 42501.
create or replace function assert_callable(p_grants worker_role, p_kind text, p_task_queue text) returns void
language plpgsql stable as $$
begin
  if is_served(p_grants.stream_names || p_grants.call_names, p_kind, p_task_queue) is not true
    and is_served(p_grants.stream_names, 'workflow', p_task_queue) is not true then
    raise exception 'role "%" may not start % on task queue "%". Provision it with call name "%"', p_grants.role_name,
      case p_kind when 'activity' then 'activities' else 'workflows' end, left(p_task_queue, 100),
      left(p_task_queue, 100) || case p_kind when 'activity' then '-activity' else '' end using errcode = '42501';
  end if;
end $$;
