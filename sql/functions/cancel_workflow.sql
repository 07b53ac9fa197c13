-- For SQL (psql, a trigger): asks a workflow to cancel, within the current transaction. Answers whether it was open.
-- Raises PD001, PD003, 55P03 (held by another transaction for 5 s).
create or replace function cancel_workflow(workflow_id text) returns boolean
language plpgsql as $$
declare
  v_status text := cancel_in_transaction(null, checked_name('cancel_workflow', 'workflow_id', workflow_id), null);
begin
  if v_status = 'held' then
    raise exception 'cancel_workflow: another transaction holds workflow "%". Try again', workflow_id using errcode = '55P03';
  end if;
  return v_status = 'asked';
end $$;
