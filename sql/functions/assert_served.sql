-- Lets through what grants allow to serve. Raises 42501.
create or replace function assert_served(p_grants worker_role, p_kind text, p_task_queue text) returns void
language plpgsql stable as $$
begin
  if is_served(p_grants.stream_names, p_kind, p_task_queue) is not true then
    raise exception 'role "%" may not serve % of task queue "%". Provision it with stream name "%"', p_grants.role_name,
      case p_kind when 'activity' then 'activities' else 'workflows' end, left(p_task_queue, 100),
      left(p_task_queue, 100) || case p_kind when 'activity' then '-activity' else '' end using errcode = '42501';
  end if;
end $$;
