-- Makes the tasks of 'task' effects and says which queues have work.
create or replace function insert_tasks(
  p_thread_no bigint[], e_item int[], e_kind text[], e_op int[], e_key text[], e_value text[], e_extra text[]
) returns text[]
language plpgsql as $$
-- plans: index only
declare
  v_queues text[] := array(select distinct u.k from unnest(e_kind, e_key) u (kind, k) where u.kind = 'task');
  v_services int[];
begin
  v_services := ensure_services(
    array_fill('activity'::text, array[cardinality(v_queues)]), v_queues, array_fill(''::text, array[cardinality(v_queues)]));
  insert into activity_task (thread_no, op, service_no, ready_at, epoch, attempt, losses, name, input)
  select p_thread_no[u.item], u.op, v_services[array_position(v_queues, u.k)], clock(), 0, 1, 0, u.x, u.v
  from unnest(e_item, e_kind, e_op, e_key, e_value, e_extra) u (item, kind, op, k, v, x)
  where u.kind = 'task'
  order by 1, 2;
  return array(select 'q' || s from unnest(v_services) s);
end $$;
