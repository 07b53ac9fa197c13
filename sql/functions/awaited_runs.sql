-- The open child runs that the 'uncall' effects of a commit name.
create or replace function awaited_runs(p_thread_no bigint[], e_item int[], e_kind text[], e_op int[]) returns bigint[]
language plpgsql stable as $$                   -- plpgsql keeps its plans; sql plans at every call
-- plans: index only
begin
  return (select coalesce(array_agg(c.run_no), '{}')
  from unnest(e_item, e_kind, e_op) u (item, kind, op)
  cross join lateral (
    select x.run_no from execution x
    where x.parent_thread = p_thread_no[u.item] and x.parent_op = u.op and x.state = 'open' offset 0) c
  where u.kind = 'uncall');
end $$;
