-- Deletes runs that have ended, with their threads: their ids are free, and nobody can read them from here on. What could
-- still wake them went when they ended (clear_threads); what is left of their histories goes in pieces (delete_history).
--
-- The row of run 0 of an id, and of the first run of a chain, stays as long as later runs of that id or chain do: the
-- unique key of start, and results, rest on them. Such a run is *stripped*: its state is `pruned`, and nothing else is
-- left of it. It goes with the last of the others. The last run of a chain goes behind all others, so that what its outcome was is not told by an earlier one.
--
-- Answers which runs could not go yet (held), which of these have more emitted events than go in one call (crowded), and
-- the threads whose histories are to go. Open runs, and those that are gone, are passed over; stripped ones that nothing
-- needs any more go.
-- Locks: the runs, run 0 of their ids and the first runs of their chains (held ones skipped), so of two that prune one id
-- the second sees what the first has done. Whoever begins a later run of an id holds its newest. Then the threads (held
-- ones skipped), their documents.
create or replace function delete_runs(p_runs bigint[], out held bigint[], out crowded bigint[], out threads bigint[])
language plpgsql as $$
-- plans: index only
declare
  v_first bigint[];
  v_locked bigint[];
  v_going bigint[];
  v_chains bigint[];
  v_gone text[];
  v_deleted int;
begin
  v_first := array(
    select f.run_no from execution e
    cross join lateral (
      select e.chain_no as run_no
      union all select x.run_no from execution x where x.workflow_id = e.workflow_id and x.run = 0) f
    where e.run_no = any(p_runs) and e.run > 0);
  v_locked := array(
    select e.run_no from execution e where e.run_no = any(p_runs || v_first) order by e.run_no for update skip locked);
  -- pause: locked
  v_going := array(
    select e.run_no from execution e
    where e.run_no = any(p_runs) and e.run_no = any(v_locked) and e.state not in ('open', 'pending', 'pruned')
      and e.chain_no = any(v_locked)
      and not exists (
        select from execution x where x.workflow_id = e.workflow_id and x.run = 0 and not x.run_no = any(v_locked)));
  v_going := array(
    select e.run_no from execution e
    where e.run_no = any(v_going) and (not is_last(e) or not exists (
      select from execution x
      where x.workflow_id = e.workflow_id and x.run < e.run and x.chain_no = e.chain_no and x.state <> 'pruned'
        and not x.run_no = any(v_going))));
  threads := array(
    select t.thread_no from thread t where t.run_no = any(v_going) order by t.thread_no for update skip locked);
  v_going := array(
    select u from unnest(v_going) u
    where not exists (select from thread t where t.run_no = u and not t.thread_no = any(threads)));
  -- Emitted events of other runs have expired by now: each is kept as long as its run, from an earlier moment on.
  delete from emission m where m.emission_no = any(array(
    select x.emission_no from execution e
    cross join lateral (select y.emission_no, y.run_no from emission y where y.chain_no = e.chain_no) x
    where e.run_no = any(v_going) and e.state = 'terminated' and x.run_no = e.run_no
    limit 5000));
  crowded := '{}';
  if found then
    crowded := array(
      select e.run_no from execution e
      where e.run_no = any(v_going) and e.state = 'terminated'
        and exists (select from emission m where m.chain_no = e.chain_no and m.run_no = e.run_no));
    v_going := array(select u from unnest(v_going) u where not u = any(crowded));
  end if;
  held := array(
    select e.run_no from execution e
    where e.run_no = any(p_runs) and e.state not in ('open', 'pending', 'pruned')
      and not e.run_no = any(v_going) and not e.run_no = any(crowded));
  v_chains := array(select e.chain_no from execution e where e.run_no = any(v_going) and is_last(e));
  with gone as (delete from signal s where s.chain_no = any(v_chains) returning s.signal_id)
  select array_agg(signal_id) into v_gone from gone;
  if v_gone is not null then
    perform forget_rendezvous(v_gone);
  end if;
  delete from document d where d.run_no = any(v_going);
  delete from hook k where k.run_no = any(v_going);
  threads := array(select t.thread_no from thread t where t.run_no = any(v_going));
  delete from thread t where t.run_no = any(v_going);
  delete from execution e where e.run_no = any(v_going) and not is_needed(e);
  get diagnostics v_deleted = row_count;
  if v_deleted = cardinality(p_runs) and v_first = '{}' then
    return;
  end if;
  update execution e set
    state = 'pruned', args = '', config = null, entity = null, parent_thread = null, parent_op = null, parent_chain = null
  where e.run_no = any(v_going);
  loop                                               -- first runs, behind the last of the others
    delete from execution e
    where e.run_no = any(p_runs || v_first) and e.run_no = any(v_locked) and e.state = 'pruned' and not is_needed(e);
    exit when not found;
  end loop;
end $$;
