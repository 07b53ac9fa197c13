-- Opens hooks in workflows, for clients. Idempotent by request number, which stays on the hook's row; a call that was
-- refused had no effect, so its repetition is a call of its own.
-- Answers per item the number of the hook's thread, or why it was refused, see open_hooks; hints
-- on item 0.
-- Locks: the executions (sorted); their documents. Raises PD001, 40001 (a run was continued meanwhile: start over).
create or replace function hook(
  p_patient boolean, p_request_no bigint[], p_workflow_id text[], p_task_queue text[], p_workflow_name text[], p_args text[],
  p_config text[], p_search text[]
) returns table (item int, status text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_answers text[];
  v_new int[];
  v_opened record;
begin
  perform begin_write(p_patient);
  perform lock_latest_runs(p_workflow_id);
  -- pause: locked
  -- behind the lock: an own first call has committed by now, or never will
  v_answers := array(
    select k.thread_no::text from unnest(p_request_no) with ordinality u (request_no, n)
    left join lateral (select x.thread_no from hook x where x.request_no = u.request_no offset 0) k on true
    order by u.n);
  v_new := array(select u.n from unnest(v_answers) with ordinality u (answer, n) where u.answer is null order by u.n);
  if v_new <> '{}' then
    select o.* into v_opened from open_hooks(
      array(select latest_run(p_workflow_id[u]) from unnest(v_new) with ordinality x (u, n) order by n),
      array_fill(null::bigint, array[cardinality(v_new)]),
      array_fill(null::int, array[cardinality(v_new)]),
      array(select p_request_no[u] from unnest(v_new) with ordinality x (u, n) order by n),
      array(select p_task_queue[u] from unnest(v_new) with ordinality x (u, n) order by n),
      array(select p_workflow_name[u] from unnest(v_new) with ordinality x (u, n) order by n),
      array(select p_args[u] from unnest(v_new) with ordinality x (u, n) order by n),
      array_fill(null::text, array[cardinality(v_new)]),
      array(select p_config[u] from unnest(v_new) with ordinality x (u, n) order by n),
      array(select p_search[u] from unnest(v_new) with ordinality x (u, n) order by n)) o;
    for i in 1 .. cardinality(v_new) loop
      v_answers[v_new[i]] := v_opened.statuses[i];
    end loop;
  end if;
  return query select n::int, a from unnest(v_answers) with ordinality u (a, n);
  if v_new <> '{}' then
    return query select 0, array_to_string(v_opened.hints, ',') where v_opened.hints <> '{}';
  end if;
end $$;
