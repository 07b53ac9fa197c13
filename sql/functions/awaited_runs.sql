-- The open child runs that the 'uncall' effects of a commit name.
create or replace function awaited_runs(p_thread_no bigint[], e_item int[], e_kind text[], e_op int[]) returns bigint[]
language sql stable as $$
-- plans: index only
  select coalesce(array_agg(c.run_no), '{}')
  from unnest(e_item, e_kind, e_op) u (item, kind, op)
  join execution c on c.parent_thread = p_thread_no[u.item] and c.parent_op = u.op and c.state = 'open'
  where u.kind = 'uncall'
$$;
