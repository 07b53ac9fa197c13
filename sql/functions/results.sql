-- The outcome of chains that have ended: state of the last run and its result or failure. Open ones are not answered.
create or replace function results(p_chains bigint[])
returns table (chain_no bigint, run_no bigint, state text, result text)
language plpgsql stable as $$
-- plans: index only
#variable_conflict use_column
begin
  return query
  select c.run_no, l.run_no, case l.state when 'pruned' then 'unknown' else l.state end, h.result
  from execution c
  cross join lateral (
    select x.run_no, x.state from execution x
    where x.workflow_id = c.workflow_id and x.chain_no = c.run_no
    order by x.run desc limit 1
  ) l
  left join lateral (
    select y.result from history y where y.thread_no = l.run_no order by y.seq desc limit 1
  ) h on true
  where c.run_no = any(p_chains) and l.state not in ('open', 'pending', 'continued')
  union all
  select u, null::bigint, 'unknown', null::text from unnest(p_chains) u
  left join lateral (select x.run_no from execution x where x.run_no = u offset 0) e on true
  where e.run_no is null;
end $$;
