-- Whether grants hold a queue's workflows ('workflow') or activities ('activity'), among what is served, or what may be called
-- beside that. Workflows of a queue whose name ends in '-activity' cannot be granted: their stream name is that of activities.
create or replace function is_served(p_names text[], p_kind text, p_task_queue text) returns boolean
language sql immutable as $$
  select case p_kind
    when 'activity' then p_task_queue || '-activity' = any(p_names)
    when 'workflow' then p_task_queue = any(p_names) and p_task_queue not like '%-activity'
    else false end
$$;
