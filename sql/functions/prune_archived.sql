-- Prunes runs that take_due_runs gave out and that were archived. Those that somebody holds stay, and are given out again.
-- Locks: as delete_runs and delete_history.
create or replace function prune_archived(p_runs bigint[]) returns int
language plpgsql as $$
-- plans: index only
declare
  v_deleted record;
begin
  perform begin_write(false);
  select d.* into v_deleted from delete_runs(p_runs) d;
  perform note_pruning('{}', '{}', delete_history(v_deleted.threads, 2000));
  return cardinality(p_runs) - cardinality(v_deleted.held) - cardinality(v_deleted.crowded);
end $$;
