-- Locks the newest runs of workflows until the transaction ends. Answers their numbers.
-- Locks: the executions (sorted). Raises 40001 when one was started or continued meanwhile: start over.
create or replace function lock_latest_runs(p_workflow_id text[]) returns bigint[]
language plpgsql as $$
-- plans: index only
declare
  v_runs bigint[];
begin
  v_runs := array(
    select e.run_no from execution e
    where e.run_no in (select latest_run(u) from unnest(p_workflow_id) u)
    order by e.run_no for no key update);
  if exists (
    select from unnest(p_workflow_id) u (id)
    cross join lateral (select latest_run(u.id) as run_no offset 0) l
    where l.run_no is not null and not l.run_no = any(v_runs))
  then
    raise exception 'a run was continued or started meanwhile' using errcode = '40001';
  end if;
  return v_runs;
end $$;
