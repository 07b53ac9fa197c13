-- A reservation becomes the run that p_run describes, or, when it has lapsed, another reservation (p_terms). Nothing happens
-- when it is none any more: a call that names an id twice fills it once.
-- Locks: the execution (the caller's, as a rule), its document, its thread.
create or replace function fill_reservation(p_run_no bigint, p_run execution, p_terms json, p_search text) returns void
language plpgsql as $$
-- plans: index only
declare
  v_old execution;
begin
  select e.* into v_old from execution e where e.run_no = p_run_no and e.state = 'pending' for no key update;
  if not found then
    return;
  end if;
  p_run.created_at := clock();
  p_run.state := 'open';
  p_run := apply_terms(p_run, p_terms);
  update execution e set
    request_no = p_run.request_no, service_no = p_run.service_no, expire_s = p_run.expire_s, signal_in = p_run.signal_in,
    args = p_run.args, config = p_run.config, entity = coalesce(p_run.entity, e.entity), created_at = p_run.created_at,
    parent_thread = p_run.parent_thread, parent_op = p_run.parent_op, parent_chain = p_run.parent_chain,
    parent_workflow_id = coalesce(p_run.parent_workflow_id, e.parent_workflow_id), origin_id = coalesce(p_run.origin_id, e.origin_id),
    trace = coalesce(p_run.trace, e.trace),
    state = p_run.state, start_at = p_run.start_at, due_at = p_run.due_at, chain_due_at = p_run.chain_due_at, run_timeout_ms = p_run.run_timeout_ms,
    on_parent_close = p_run.on_parent_close
  where e.run_no = p_run_no;
  if p_search is not null then
    -- whatever their size together: each is bounded by its caller, and nothing else has been added yet
    perform lock_documents(array[p_run_no], '{}');
    update document d set search = coalesce(d.search, '{}') || p_search::jsonb where d.run_no = p_run_no;
  end if;
  update thread t set
    state = case p_run.state when 'open' then 'ready' else 'pending' end,
    ready_at = case p_run.state when 'open' then coalesce(p_run.start_at, p_run.created_at) end,
    service_no = p_run.service_no
  where t.thread_no = p_run_no;
end $$;
