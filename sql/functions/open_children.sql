-- The workflow ids of open runs that the newest runs of these workflows, or earlier ones of their chains, have started.
create or replace function open_children(p_workflow_id text[]) returns text
language plpgsql stable as $$
-- plans: index only
begin
  return (
    select coalesce(json_agg(distinct c.workflow_id), '[]')::text
    from unnest(p_workflow_id) u (id)
    cross join lateral (select x.chain_no from execution x where x.workflow_id = u.id order by x.run desc limit 1) p
    cross join lateral (
      select x.workflow_id from execution x where x.parent_chain = p.chain_no and x.state = 'open' offset 0) c);
end $$;
