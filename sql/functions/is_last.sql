-- Whether no later run of its chain is there.
create or replace function is_last(p_run execution) returns boolean
language plpgsql stable as $$
-- plans: index only
begin
  return not exists (
    select from (
      select x.chain_no from execution x
      where x.workflow_id = p_run.workflow_id and x.run > p_run.run order by x.run limit 1) next
    where next.chain_no = p_run.chain_no);
end $$;
