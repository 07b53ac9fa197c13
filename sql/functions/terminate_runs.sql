-- The 'terminate' effects of a commit, in order. Answers what differs from the usual (it was open, and has ended), as
-- decisions by item: unknown, completed, or ended for a run that terminated itself; then hints on item 0. The caller
-- holds the executions of p_runs, their threads, their parents' and those of whoever awaits their hooks (commit). What
-- was started or continued since, by this commit itself for example, is locked here, out of order, hence without waiting
-- (55P03).
create or replace function terminate_runs(
  p_thread_no bigint[], p_runs bigint[],
  e_item int[], e_kind text[], e_op int[], e_key text[], e_value text[], e_number double precision[], e_extra text[]
) returns table (item int, decision text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_run bigint;
  v_state text;
  v_hints text[] := '{}';
begin
  for i in 1 .. cardinality(e_item) loop
    continue when e_kind[i] <> 'terminate';
    loop
      v_run := latest_run(e_key[i]);
      if not is_reachable(v_run, p_thread_no[e_item[i]]) then
        v_run := null;
      end if;
      if not v_run = any(p_runs) then
        perform lock_run_at_once(v_run);
      end if;
      select e.state into v_state from execution e where e.run_no = v_run;
      if not found then
        v_run := null;                               -- pruned since it was looked up
      end if;
      exit when v_run is null or v_state <> 'continued';
    end loop;
    if v_run is null then
      return query select e_item[i], format('[%s,"unknown"]', e_op[i]);
    elsif v_state not in ('open', 'pending') then
      return query select e_item[i], format('[%s,"completed"]', e_op[i]);
    else
      v_hints := v_hints || end_run(
        v_run, (random() * 281474976710655)::bigint, e_value[i], e_number[i], e_extra[i] = 'descend');
      if v_run = (select t.run_no from thread t where t.thread_no = p_thread_no[e_item[i]]) then
        v_hints := array_remove(v_hints, 'e' || v_run);   -- its worker hears of it by this decision
        return query select e_item[i], format('[%s,"ended"]', e_op[i]);
      end if;
    end if;
  end loop;
  return query select 0, array_to_string(v_hints, ',') where v_hints <> '{}';
end $$;
