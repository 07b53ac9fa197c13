-- The 'child on terms' effects of a commit: children that say more than what to run (extra.terms, see start_on_terms; also
-- onParentClose). Late in the commit: what ends by itself in it does not have to make room. Answers, as decisions by item,
-- children whose id is taken; hints on item 0.
-- The caller holds the newest runs of the ids (p_runs) as terminate_runs needs them. What was started since, by this commit
-- itself for example, is locked here, out of order, hence without waiting (55P03). Raises 40001.
create or replace function start_children_on_terms(
  p_thread_no bigint[], p_runs bigint[],
  e_item int[], e_kind text[], e_op int[], e_key text[], e_value text[], e_extra text[]
) returns table (item int, decision text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_parent execution;
  v_old execution;
  v_next execution;
  v_child json;
  v_word text;
  v_hints text[] := '{}';
  i int;
begin
  for i in
    select u.n from unnest(e_kind, e_key) with ordinality u (kind, k, n)
    where u.kind = 'child on terms' order by u.k collate "C", u.n
  loop
    v_child := e_extra[i]::json;
    select e.* into v_parent from thread t join execution e on e.run_no = t.run_no where t.thread_no = p_thread_no[e_item[i]];
    select e.* into v_old from execution e where e.run_no = latest_run(e_key[i]);
    v_word := case
      when v_old.run_no is null then 'free'
      when not is_reachable(v_old.run_no, p_thread_no[e_item[i]]) then 'taken'
      when v_old.run_no = v_parent.run_no and v_old.state = 'open' then 'taken'   -- it cannot make room for its own child
      else verdict(v_old, v_child -> 'terms') end;
    if v_word = 'end' then
      if not v_old.run_no = any(p_runs) then
        perform lock_run_at_once(v_old.run_no);
      end if;
      v_hints := v_hints || replace_run(v_old);
      v_word := 'free';
    end if;
    if v_word = 'taken' or v_word = 'existing' and (v_child ->> 'awaited')::boolean then
      return query select e_item[i], format('[%s,"duplicate",%s]', e_op[i], to_json(e_key[i]));
    end if;
    continue when v_word in ('taken', 'existing');
    v_next := null;
    v_next.request_no := (random() * 281474976710655)::bigint;
    v_next.workflow_id := e_key[i];
    v_next.service_no := (ensure_services('{workflow}', array[v_child ->> 'taskQueue'], array[v_child ->> 'workflowName']))[1];
    v_next.parent_chain := v_parent.chain_no;
    if (v_child ->> 'awaited')::boolean then
      v_next.parent_thread := p_thread_no[e_item[i]];
      v_next.parent_op := e_op[i];
    end if;
    v_next.expire_s := (v_child ->> 'expire')::double precision;
    v_next.signal_in := coalesce((v_child ->> 'signalIn')::boolean, true);
    v_next.args := e_value[i];
    v_next.config := v_child ->> 'config';
    v_next.parent_workflow_id := v_child ->> 'parentWorkflowId';
    v_next.origin_id := v_child ->> 'originId';
    v_next.entity := v_child ->> 'entity';
    v_next.trace := v_child ->> 'trace';
    if v_word = 'fill' then
      perform fill_reservation(v_old.run_no, v_next, v_child -> 'terms', v_child ->> 'search');
    elsif not begin_run(next_run(v_next, v_old), v_child -> 'terms', v_child ->> 'search') then
      raise exception 'a run was started meanwhile' using errcode = '40001';
    end if;
    v_hints := v_hints || ('q' || v_next.service_no) || hint_of_terms(v_child -> 'terms');
    if v_child -> 'terms' ->> 'onParentClose' is not null and v_parent.state not in ('open', 'continued') then
      v_hints := v_hints || note_dependents(array[v_parent.chain_no]);   -- the parent ended in this very commit
    end if;
  end loop;
  return query select 0, string_agg(distinct h, ',') from unnest(v_hints) h where h is not null having count(h) > 0;
end $$;
