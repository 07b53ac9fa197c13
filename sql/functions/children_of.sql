-- Which chains of these workflow ids were started by a chain: an id may have been used by others before or since.
create or replace function children_of(p_chain_no bigint, p_workflow_ids text[])
returns table (workflow_id text, chain_no bigint)
language plpgsql stable as $$
-- plans: index only
#variable_conflict use_column
begin
  return query
  select u.workflow_id, e.chain_no
  from unnest(p_workflow_ids) with ordinality u (workflow_id, n)
  cross join lateral (
    select distinct x.chain_no from execution x
    where x.workflow_id = u.workflow_id and x.parent_chain = p_chain_no offset 0) e
  order by u.n, e.chain_no;
end $$;
