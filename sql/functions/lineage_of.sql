-- Whose the first p_keep entries of a run are, as JSON for execution.lineage: [{entries, ops, seed, thread}, ...], each for the
-- entries before `entries` and the operations before `ops` that the one before does not speak of. What was drawn from a seed,
-- and the idempotency keys of activities, stay those of the run that recorded them. Null: none are kept.
create or replace function lineage_of(p_run execution, p_keep int, p_opened int) returns text
language sql stable as $$
  with known as (
    select l.* from json_to_recordset(coalesce(p_run.lineage, '[]')::json) l (entries int, ops int, seed text, thread bigint)
    union all select 2147483647, 2147483647, p_run.request_no::text, p_run.run_no
  ), kept as (
    select k.* from known k where k.entries < p_keep
    union all
    (select p_keep, p_opened, k.seed, k.thread from known k where k.entries >= p_keep order by k.entries limit 1)
  )
  select case when p_keep > 0 then
    (select json_agg(json_build_object('entries', entries, 'ops', ops, 'seed', seed, 'thread', thread) order by entries)::text from kept) end
$$;
