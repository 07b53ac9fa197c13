-- Ends what is due: runs whose workflowRunTimeout, or whose chain's workflowExecutionTimeout, is over fail; reservations that
-- nobody filled are forgotten. Any worker may call it at any time. Answers hints, and when the next one is due.
-- Never early: `due_at` is compared with the database's clock. Only what is due is looked at (execution_due).
-- Locks: the executions, then their threads, the parents' and those of whoever awaits their hooks (each sorted, held ones
-- skipped: what lacks one is left for the next look, so nobody's open transaction holds up the others).
create or replace function expire_runs() returns table (hints text, due_in_ms double precision)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_now timestamptz;
  v_due bigint[];
  v_locked bigint[];
  v_run execution;
  v_hints text[] := '{}';
begin
  perform begin_write(false);
  v_now := clock();
  v_due := array(
    select e.run_no from execution e
    where e.run_no = any(array(select x.run_no from execution x where x.due_at <= v_now order by x.due_at limit 200))
      and e.due_at <= v_now
    order by e.run_no for no key update skip locked);
  -- pause: picked
  v_locked := array(
    select t.thread_no from thread t
    where t.thread_no in (
      select r.thread_no from thread r where r.run_no = any(v_due)
      union all select e.parent_thread from execution e where e.run_no = any(v_due)
      union all select k.opener_thread from hook k where k.run_no = any(v_due))
    order by t.thread_no for no key update skip locked);
  -- pause: locked
  for v_run in select e.* from execution e where e.run_no = any(v_due) order by e.run_no loop
    continue when exists (
      select from (
        select r.thread_no from thread r where r.run_no = v_run.run_no
        union all select v_run.parent_thread
        union all select k.opener_thread from hook k where k.run_no = v_run.run_no) x
      where x.thread_no is not null and not x.thread_no = any(v_locked));
    if v_run.state = 'pending' then
      delete from thread t where t.thread_no = v_run.run_no;
      delete from document d where d.run_no = v_run.run_no;
      delete from execution e where e.run_no = v_run.run_no;
      if v_run.run > 0 then                          -- what only this one needed: see delete_runs
        perform from execution e where e.workflow_id = v_run.workflow_id and e.run = 0 for no key update;
        insert into pruning (due_at, runs)
        select v_now, array_agg(e.run_no) from execution e
        where e.workflow_id = v_run.workflow_id and e.state = 'pruned' having count(*) > 0;
      end if;
    else
      v_hints := v_hints || end_run(v_run.run_no, (random() * 281474976710655)::bigint, run_timeout_failure(v_run, v_now), null, false, 'failed');
    end if;
  end loop;
  -- pause: done
  hints := (select string_agg(distinct h, ',') from unnest(v_hints) h);
  due_in_ms := (
    select extract(epoch from e.due_at - clock()) * 1000 from execution e
    where e.due_at is not null order by e.due_at limit 1);
  return next;
end $$;
