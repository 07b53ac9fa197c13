-- For each of these operations of a run's main thread the newest run of the child it awaits; null where none is stored.
create or replace function newest_children(p_run_no bigint, p_op int[]) returns bigint[]
language plpgsql stable as $$                   -- plpgsql keeps its plans; sql plans at every call
-- plans: index only
begin
  return array(
    select (
      select n.run_no from execution n
      where n.workflow_id = c.workflow_id and n.chain_no = c.chain_no order by n.run desc limit 1)
    from unnest(p_op) with ordinality u (op, n)
    left join lateral (
      select x.workflow_id, x.chain_no from execution x
      where x.parent_thread = p_run_no and x.parent_op = u.op order by x.run desc limit 1) c on true
    order by u.n);
end $$;
