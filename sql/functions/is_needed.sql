-- Whether later runs rest on the row of this one: run 0 of an id keeps the id taken, the first run of a chain is what
-- handles and results name. See delete_runs.
create or replace function is_needed(p_run execution) returns boolean
language plpgsql stable as $$
-- plans: index only
begin
  return exists (
    select from (
      select x.chain_no from execution x
      where x.workflow_id = p_run.workflow_id and x.run > p_run.run order by x.run limit 1) next
    where p_run.run = 0 or p_run.run_no = p_run.chain_no and next.chain_no = p_run.chain_no);
end $$;
