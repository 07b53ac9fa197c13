-- Several operations that a thread waits for, the most telling first; at most 20 of them.
create or replace function explain_operations(p_thread_no bigint, p_ops int[], p_depth int) returns jsonb
language sql stable as $$
  select coalesce(jsonb_agg(x.why order by x.rank, x.n), '[]')
  from (
    select o.n, w.why, coalesce(array_position(array[
      'no-worker', 'lease-expired', 'activity-retry', 'retry', 'activity-outside', 'activity-queued', 'activity-running',
      'signal', 'child', 'hook', 'delivered', 'operation', 'timer'], w.why ->> 'reason'), 99) as rank
    from unnest(p_ops[:20]) with ordinality o (op, n)
    cross join lateral (select explain_operation(p_thread_no, o.op, p_depth) as why offset 0) w
  ) x
$$;
