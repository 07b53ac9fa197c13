-- Locks the documents of runs until the transaction ends: a class of their own in the lock order, between executions and
-- threads. Those of p_runs are made where there is none yet; of p_others only what exists is locked.
-- First rows are made, then all are locked, both sorted. Making waits for nobody but those who are making the same row, and who
-- makes holds no locked row yet: so no two calls wait for each other. In one statement (on conflict do update) what does
-- not exist could not be left alone.
create or replace function lock_documents(p_runs bigint[], p_others bigint[]) returns void
language plpgsql as $$
-- plans: index only
begin
  insert into document (run_no)
  select distinct r.run_no from unnest(p_runs) r (run_no)
  where not exists (select from document d where d.run_no = r.run_no)
  order by r.run_no
  on conflict (run_no) do nothing;
  perform from document d where d.run_no = any(p_runs || p_others) order by d.run_no for no key update;
end $$;
