-- Opens the hooks of a run that these operations of its main thread await once more, in the run that goes on from there.
-- Answers hints. The caller has just made that run.
create or replace function reopen_hooks(p_run_no bigint, p_new_run bigint, p_op int[], p_paused boolean) returns text[]
language plpgsql as $$
-- plans: index only
declare
  v_services int[];
begin
  if p_op = '{}' then
    return '{}';
  end if;
  with asked as materialized (
    select nextval('run_number') as thread_no, k.opener_op, k.args, k.signal_id, k.config, t.service_no,
      row_number() over (order by k.hook_no) - 1 as hook_no
    from hook k
    cross join lateral (select x.service_no from thread x where x.thread_no = k.thread_no offset 0) t
    where k.run_no = p_run_no and k.opener_thread = p_run_no and k.opener_op = any(p_op)
  ), made as (
    insert into hook (thread_no, run_no, opener_thread, opener_op, hook_no, state, args, signal_id, config)
    select a.thread_no, p_new_run, p_new_run, a.opener_op, a.hook_no, 'open', a.args, a.signal_id, a.config from asked a
  ), threads as (
    insert into thread (thread_no, run_no, service_no, state, ready_at, epoch, paused)
    select a.thread_no, p_new_run, a.service_no, case when p_paused then 'paused' else 'ready' end,
      case when not p_paused then clock() end, 0, p_paused
    from asked a
  )
  select array_agg(distinct a.service_no) into v_services from asked a;
  return array(select 'q' || s from unnest(v_services) s);
end $$;
