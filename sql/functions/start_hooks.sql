-- Opens the hooks of 'hook' effects. Answers per effect the number of its thread, or why it was refused (see open_hooks),
-- as (item, op, awaited, hooked, word); hints have no op.
create or replace function start_hooks(
  p_thread_no bigint[], e_item int[], e_kind text[], e_op int[], e_key text[], e_value text[], e_extra text[]
) returns table (item int, op int, awaited boolean, hooked boolean, word text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_item int[];
  v_op int[];
  v_id text[];
  v_args text[];
  v_extra json[];
  v_signal_id text[];
  v_opened record;
begin
  select array_agg(u.item order by n), array_agg(u.op order by n), array_agg(u.k order by n), array_agg(u.v order by n),
    array_agg(u.x::json order by n)
  into v_item, v_op, v_id, v_args, v_extra
  from unnest(e_item, e_kind, e_op, e_key, e_value, e_extra) with ordinality u (item, kind, op, k, v, x, n)
  where u.kind = 'hook';
  v_signal_id := array(select u.x ->> 'signalId' from unnest(v_extra) with ordinality u (x, n) order by n);
  select o.* into v_opened from open_hooks(
    array(
      select case
        when u.id is null then (select x.run_no from thread x where x.thread_no = p_thread_no[u.item])
        when is_reachable(l.run_no, p_thread_no[u.item]) then l.run_no end
      from unnest(v_item, v_id) with ordinality u (item, id, n)
      cross join lateral (select case when u.id is not null then latest_run(u.id) end as run_no offset 0) l
      order by n),
    array(select p_thread_no[u.item] from unnest(v_item) with ordinality u (item, n) order by n),
    v_op,
    array_fill(null::bigint, array[cardinality(v_item)]),
    array(select u.x ->> 'taskQueue' from unnest(v_extra) with ordinality u (x, n) order by n),
    array(select u.x ->> 'workflowName' from unnest(v_extra) with ordinality u (x, n) order by n),
    v_args,
    v_signal_id,
    array(select u.x ->> 'config' from unnest(v_extra) with ordinality u (x, n) order by n),
    array(select u.x ->> 'search' from unnest(v_extra) with ordinality u (x, n) order by n)) o;
  return query
  select u.item, u.op, u.signal_id is not null, u.word ~ '^[0-9]', u.word
  from unnest(v_item, v_op, v_signal_id, v_opened.statuses) with ordinality u (item, op, signal_id, word, n) order by n;
  return query
  select 0, null::int, null::boolean, null::boolean, h from unnest(v_opened.hints) h;
end $$;
