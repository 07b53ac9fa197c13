-- The newest runs of the ids that effects of one kind name.
create or replace function keyed_runs(p_kind text, e_kind text[], e_key text[]) returns bigint[]
language plpgsql stable as $$                   -- plpgsql keeps its plans; sql plans at every call
-- plans: index only
begin
  return array(
    select distinct r.run_no
    from unnest(e_kind, e_key) u (kind, k)
    cross join lateral (select latest_run(u.k) as run_no offset 0) r
    where u.kind = p_kind and r.run_no is not null);
end $$;
