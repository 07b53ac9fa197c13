-- Makes runs due that ended more than p_older_s seconds ago, whatever they said themselves, those to be kept for ever
-- too: the next page in order of their numbers, behind p_after_run. None is due before the request window is over.
-- Reads the runs themselves: for an administrator, not for every day. Answers how many; the last run looked at, null
-- behind the end.
create or replace function make_due(p_after_run bigint, p_older_s double precision, p_dry_run boolean)
returns table (ended int, last_run bigint)
language plpgsql as $$
-- plans: index only
declare
  v_before timestamptz;
  v_runs bigint[];
begin
  perform begin_write(false);
  v_before := clock() - greatest(p_older_s * interval '1 s', request_window());
  select max(x.run_no), coalesce(array_agg(x.run_no order by x.run_no) filter (
    where x.closed_at < v_before and x.state <> 'pruned'), '{}')
  into last_run, v_runs
  from (
    select e.run_no, e.closed_at, e.state from execution e where e.run_no > p_after_run order by e.run_no limit 5000) x;
  ended := cardinality(v_runs);
  if ended > 0 and not p_dry_run then
    insert into pruning (due_at, runs)
    select clock(), array_agg(u.run_no order by u.run_no)
    from unnest(v_runs) with ordinality u (run_no, n) group by u.n / 200;
  end if;
  return next;
end $$;
