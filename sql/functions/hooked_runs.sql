-- The runs that the 'hook' effects of a commit address: the thread's own, or the newest of the workflow id in the key.
-- p_written: only those that take hooks and whose fields a hook writes.
create or replace function hooked_runs(
  p_thread_no bigint[], e_item int[], e_kind text[], e_key text[], e_extra text[], p_written boolean
) returns bigint[]
language plpgsql stable as $$                   -- plpgsql keeps its plans; sql plans at every call
-- plans: index only
begin
  return (select coalesce(array_agg(distinct r.run_no), '{}')
  from unnest(e_item, e_kind, e_key, e_extra) u (item, kind, k, x)
  cross join lateral (
    select x.run_no from thread x where u.k is null and x.thread_no = p_thread_no[u.item]
    union all select x from latest_run(u.k) x where u.k is not null) r
  where u.kind = 'hook' and r.run_no is not null
    and (not p_written or u.x::json ->> 'search' is not null and exists (
      select from execution e where e.run_no = r.run_no and e.state = 'open' and e.signal_in)));
end $$;
