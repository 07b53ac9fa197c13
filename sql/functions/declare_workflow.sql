-- For SQL: makes a workflow known before any worker or client has named it, so that start_workflow takes it. In a
-- transaction of its own, e.g. where the trigger is made: until that commits, whoever names the same workflow waits.
-- Raises PD001, PD003, 55P03 (somebody else is just naming it).
create or replace function declare_workflow(workflow_name text, task_queue text) returns void
language plpgsql as $$
begin
  perform begin_write(true);
  perform ensure_services(array['workflow'],
    array[checked_name('declare_workflow', 'task_queue', task_queue)],
    array[checked_name('declare_workflow', 'workflow_name', workflow_name)]);
end $$;
