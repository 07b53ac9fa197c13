-- continueAsNew: begins the next run of each chain, with search fields, entity, parent and timeouts; a cancel request that the
-- old run has not seen yet goes along. What follows a paused run is paused.
create or replace function continue_runs(p_runs bigint[], p_args text[]) returns text[]
language plpgsql as $$
-- plans: index only
declare
  v_services int[];
begin
  with asked as materialized (
    select nextval('run_number') as new_run_no, u.new_args, e.*,
      exists (select from inbox i where i.thread_no = e.run_no and i.kind = 'cancel') as cancels
    from unnest(p_runs, p_args) u (run_no, new_args)
    cross join lateral (select x.* from execution x where x.run_no = u.run_no offset 0) e
  ), made as (
    insert into execution (run_no, chain_no, request_no, parent_thread, parent_op, parent_chain, run, service_no, expire_s, created_at,
      due_at, chain_due_at, run_timeout_ms, on_parent_close,
      signal_in, cancel_requested, workflow_id, state, cause, args, config, parent_workflow_id, origin_id, entity, paused_at, pause_reason, trace)
    select a.new_run_no, a.chain_no, (random() * 281474976710655)::bigint, a.parent_thread, a.parent_op, a.parent_chain, a.run + 1, a.service_no,
      a.expire_s, clock(), least(a.chain_due_at, clock() + a.run_timeout_ms * interval '1 ms'), a.chain_due_at, a.run_timeout_ms, a.on_parent_close,
      a.signal_in, a.cancels, a.workflow_id, 'open', 'continued', a.new_args, a.config,
      a.parent_workflow_id, a.origin_id, a.entity, a.paused_at, a.pause_reason, a.trace
    from asked a
    returning run_no, service_no, cancel_requested, paused_at is not null as paused
  ), threads as (
    insert into thread (thread_no, run_no, service_no, state, ready_at, epoch, paused)
    select m.run_no, m.run_no, m.service_no, case when m.paused then 'paused' else 'ready' end,
      case when not m.paused then clock() end, 0, m.paused
    from made m
  ), told as (
    insert into inbox (thread_no, kind) select m.run_no, 'cancel' from made m where m.cancel_requested
  ), moved as (
    update document d set run_no = a.new_run_no from asked a where d.run_no = a.run_no
  )
  select array_agg(distinct service_no) into v_services from made;
  return array(select 'q' || s from unnest(v_services) s);
end $$;
