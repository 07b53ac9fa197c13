-- Makes a run (see next_run), its main thread and its document, as its terms say. Answers false when its place was taken
-- meanwhile.
-- Locks: new rows (unique id).
create or replace function begin_run(p_run execution, p_terms json, p_search text) returns boolean
language plpgsql as $$
-- plans: index only
begin
  p_run := apply_terms(p_run, p_terms);
  insert into execution select p_run.* on conflict (workflow_id, run) do nothing;
  if not found then
    return false;
  end if;
  insert into thread (thread_no, run_no, service_no, state, ready_at, epoch)
  values (p_run.run_no, p_run.run_no, p_run.service_no, case p_run.state when 'open' then 'ready' else 'pending' end,
    case p_run.state when 'open' then coalesce(p_run.start_at, p_run.created_at) end, 0);
  if p_search is not null then
    insert into document (run_no, search) values (p_run.run_no, p_search::jsonb);
  end if;
  return true;
end $$;
