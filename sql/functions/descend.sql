-- Ends the children of a run that has ended: all of them when it was terminated with its descendants (`whole`), else those
-- that asked for it (parentClosePolicy), some of which are only cancelled. Some of one generation, in one transaction.
-- Each run that ends here notes that its own children are next, so the work survives whoever does it.
-- A note goes when its chain has no open child left, seen by a statement of its own: a child that is just being
-- continued shows its next run only then.
-- Answers whether there was something to do here, whether anything is left, hints.
-- Locks: the note (one that is held is passed over), executions, their threads, the parents' and those of whoever
-- awaits their hooks (each sorted).
create or replace function descend(p_patient boolean) returns table (worked boolean, more boolean, hints text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_note termination;
  v_runs bigint[];
  v_run execution;
  v_cancelled bigint[];
  v_hints text[] := '{}';
begin
  perform begin_write(p_patient);
  select n.* into v_note from termination n order by n.chain_no limit 1 for update skip locked;
  if not found then
    return query select false, exists (select from termination), '';
    return;
  end if;
  if v_note.whole then
    v_runs := array(
      select e.run_no from execution e
      where e.parent_chain = v_note.chain_no and e.state in ('open', 'pending')
      order by e.run_no limit 100 for no key update);
  else
    v_runs := array(
      select e.run_no from execution e
      where e.parent_chain = v_note.chain_no and e.on_parent_close is not null and e.state in ('open', 'pending')
      order by e.run_no limit 100 for no key update);
  end if;
  perform from thread t
  where t.run_no = any(v_runs) or t.thread_no in (
    select e.parent_thread from execution e where e.run_no = any(v_runs)
    union all select k.opener_thread from hook k where k.run_no = any(v_runs))
  order by t.thread_no for no key update;
  -- pause: locked
  for v_run in select e.* from execution e where e.run_no = any(v_runs) order by e.run_no loop
    if v_note.whole then
      v_hints := v_hints || end_run(v_run.run_no, (random() * 281474976710655)::bigint, v_note.failure, v_note.expire_s, true);
    elsif v_run.on_parent_close = 'terminate' then
      v_hints := v_hints || end_run(v_run.run_no, (random() * 281474976710655)::bigint,
        termination_failure(v_run.workflow_id, 'its parent has ended'), null, false);
    else
      v_cancelled := v_cancelled || v_run.run_no;
    end if;
  end loop;
  if v_cancelled is not null then
    update execution e set on_parent_close = null where e.run_no = any(v_cancelled);   -- once
    v_hints := v_hints || cancel_runs(v_cancelled);
  end if;
  if not exists (
    select from execution e
    where e.parent_chain = v_note.chain_no and e.state in ('open', 'pending') and (v_note.whole or e.on_parent_close is not null)) then
    delete from termination n where n.chain_no = v_note.chain_no;
  end if;
  return query
  select true, exists (select from termination),
    coalesce((select string_agg(distinct h, ',') from unnest(v_hints) h where h <> 'd'), '');
end $$;
