-- Ends threads whose closing entry was just written. A main thread ends its run: the other threads of the run end
-- with it, the parent hears of it, children that asked for it end too, continueAsNew begins the next run. A hook ends alone; see close_hooks for who hears
-- of that. All in the closing commit.
-- 'reset' ends a run that its caller continues otherwise (see reset): neither parent nor whoever waits hears of it.
-- The caller holds the executions of main threads, all threads of those, the hooks, the threads of parents and of those
-- who await the hooks.
create or replace function close_threads(p_threads bigint[], p_closing text[], p_result text[]) returns text[]
language plpgsql as $$
-- plans: index only
declare
  v_now timestamptz := clock();
  v_runs bigint[];
  v_others bigint[];
  v_hooks bigint[];
  v_lasting bigint[];            -- threads whose chain goes on
  v_continued bigint[];
  v_onward bigint[];             -- runs whose chain goes on
  v_parents bigint[];
  v_deserted bigint[];           -- chains that end and have children that asked not to outlive them
  v_hints text[] := '{}';
begin
  v_runs := array(select t.run_no from thread t where t.thread_no = any(p_threads) and t.thread_no = t.run_no);
  v_hooks := array(select u from unnest(p_threads) u where not u = any(v_runs));
  v_others := array(
    select t.thread_no from thread t
    where t.run_no = any(v_runs) and t.state <> 'done' and not t.thread_no = any(p_threads));
  if v_others <> '{}' then
    perform end_threads(v_others);
    v_hooks := v_hooks || v_others;
  end if;
  v_continued := array(select u.t from unnest(p_threads, p_closing) u (t, c) where u.c = 'continued' and u.t = any(v_runs));
  if v_continued <> '{}' then
    v_hints := continue_runs(v_continued,
      array(select u.r from unnest(p_threads, p_closing, p_result) with ordinality u (t, c, r, n)
        where u.c = 'continued' and u.t = any(v_runs) order by n));
  end if;
  with ended as (
    update execution e set closed_at = v_now, due_at = null,
      state = coalesce(nullif(p_closing[array_position(p_threads, e.run_no)], 'reset'), 'continued'),
      paused_at = null, pause_reason = null
    where e.run_no = any(p_threads)
    returning e.run_no, e.chain_no, e.state, e.expire_s
  ), noted as (                                      -- from when on they may be pruned
    insert into pruning (due_at, runs)
    select v_now + greatest(coalesce(e.expire_s, 604800) * interval '1 s', request_window()), array_agg(e.run_no order by e.run_no)
    from ended e where e.expire_s is distinct from 0 group by e.expire_s
  )
  select v_hints || coalesce(array_agg('r' || chain_no) filter (where state <> 'continued'), '{}'),
    array_agg(chain_no) filter (where state <> 'continued' and exists (
      select from execution c where c.parent_chain = ended.chain_no and c.on_parent_close is not null and c.state in ('open', 'pending')))
  into v_hints, v_deserted from ended;
  if v_deserted is not null then
    v_hints := v_hints || note_dependents(v_deserted);
  end if;
  update thread set state = 'done', owner = null, claim_no = null, ready_at = null, blocked_on = null, blocked_reason = null,
    affinity = null, excluded = null, paused = false
  where thread_no = any(p_threads || v_others);
  v_onward := array(
    select u.t from unnest(p_threads, p_closing) u (t, c) where u.c in ('continued', 'reset') and u.t = any(v_runs));
  v_lasting := v_onward;
  if v_hooks <> '{}' then
    v_hints := v_hints || close_hooks(v_hooks, p_threads, p_closing, p_result);
    v_lasting := v_lasting || array(
      select t.thread_no from thread t
      where t.thread_no = any(v_hooks) and (t.run_no = any(v_onward) or not t.run_no = any(v_runs)));
  end if;
  if clear_threads(p_threads || v_others, v_lasting) then
    v_hints := v_hints || 't'::text;                 -- somebody may be waiting for what was put back: see tidy
  end if;
  with told as (
    insert into inbox (thread_no, op, worker_no, kind, payload)
    select p.thread_no, e.parent_op, p.owner, case u.c when 'completed' then 'done' else 'fail' end, u.r
    from unnest(p_threads, p_closing, p_result) with ordinality u (t, c, r, n)
    cross join lateral (
      select x.parent_thread, x.parent_op from execution x
      where x.run_no = u.t and x.parent_thread is not null offset 0) e
    cross join lateral (
      select x.thread_no, x.owner from thread x
      where x.thread_no = e.parent_thread and x.state <> 'done' offset 0) p
    where u.c not in ('continued', 'reset')
    order by u.n
    returning thread_no
  )
  select array_agg(thread_no) into v_parents from told;
  if v_parents is not null then
    v_hints := v_hints || wake(v_parents);
  end if;
  return v_hints;
end $$;
