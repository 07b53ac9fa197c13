-- Opens hooks: a further thread of a run for each one that its run accepts, with the search fields it brings along.
-- p_opener and p_op are the thread and operation that asked, null for a client; with p_signal_id they wait for that
-- signal of the hook, and are told of its failure. A cancel request that the opener, or for others the main thread, has
-- not seen yet reaches the hook too, as if it had been there before.
-- Answers for each the number of its thread as text, or why not: unknown | pending | inactive | closed | full (its fields
-- are too large beside those that are there); and hints.
-- The caller holds the executions, and the documents of such fields; these it may leave to this function while it holds no
-- threads.
create or replace function open_hooks(
  p_run_no bigint[], p_opener bigint[], p_op int[], p_request_no bigint[], p_task_queue text[], p_workflow_name text[],
  p_args text[], p_signal_id text[], p_config text[], p_search text[], out statuses text[], out hints text[]
) language plpgsql as $$
-- plans: index only
declare
  v_at int[];                    -- the positions that are accepted
  v_services int[];
  v_threads text[];
begin
  statuses := array(
    select case
      when e.run_no is null then 'unknown'
      when e.state = 'pending' then 'pending'
      when e.state <> 'open' then 'inactive'
      when not e.signal_in then 'closed' end
    from unnest(p_run_no) with ordinality u (run_no, n)
    left join lateral (select x.run_no, x.state, x.signal_in from execution x where x.run_no = u.run_no offset 0) e on true
    order by u.n);
  hints := '{}';
  v_at := array(select u.n from unnest(statuses) with ordinality u (status, n) where u.status is null order by u.n);
  if v_at = '{}' then
    return;
  end if;
  perform lock_documents(array(select p_run_no[a] from unnest(v_at) a where p_search[a] is not null), '{}');
  for i in 1 .. cardinality(v_at) loop
    if p_search[v_at[i]] is not null
      and merge_search(array[p_run_no[v_at[i]]], array[p_search[v_at[i]]]) <> '{}' then
      statuses[v_at[i]] := 'full';
    end if;
  end loop;
  v_at := array(select u.a from unnest(v_at) with ordinality u (a, i) where statuses[u.a] is null order by u.i);
  if v_at = '{}' then
    return;
  end if;
  v_services := ensure_services(
    array_fill('workflow'::text, array[cardinality(v_at)]),
    array(select p_task_queue[a] from unnest(v_at) with ordinality u (a, i) order by i),
    array(select p_workflow_name[a] from unnest(v_at) with ordinality u (a, i) order by i));
  with asked as materialized (
    select nextval('run_number') as thread_no, u.a, p_run_no[u.a] as run_no, v_services[u.i] as service_no,
      row_number() over (partition by p_run_no[u.a] order by u.i) - 1 as nth, u.i
    from (select x.a, x.i from unnest(v_at) with ordinality x (a, i) order by x.i) u
  ), made as (
    insert into hook (thread_no, run_no, opener_thread, opener_op, request_no, hook_no, state, args, signal_id, config)
    select a.thread_no, a.run_no, case when p_signal_id[a.a] is not null then p_opener[a.a] end,
      case when p_signal_id[a.a] is not null then p_op[a.a] end,
      p_request_no[a.a], coalesce(l.hook_no + 1, 0) + a.nth, 'open', p_args[a.a],
      p_signal_id[a.a], p_config[a.a]
    from asked a
    left join lateral (
      select x.hook_no from hook x where x.run_no = a.run_no order by x.hook_no desc limit 1) l on true
  ), threads as (
    insert into thread (thread_no, run_no, service_no, state, ready_at, epoch, paused)
    select a.thread_no, a.run_no, a.service_no, case when e.paused_at is null then 'ready' else 'paused' end,
      case when e.paused_at is null then clock() end, 0, e.paused_at is not null
    from asked a
    cross join lateral (select x.paused_at from execution x where x.run_no = a.run_no offset 0) e
  ), told as (
    insert into inbox (thread_no, kind)
    select a.thread_no, 'cancel'
    from asked a
    cross join lateral (
      select coalesce(min(x.thread_no), a.run_no) as thread_no from thread x
      where x.thread_no = p_opener[a.a] and x.run_no = a.run_no) o
    where exists (select from inbox i where i.thread_no = o.thread_no and i.kind = 'cancel')
    order by a.i
  )
  select array_agg(a.thread_no::text order by a.i) into v_threads from asked a;
  for i in 1 .. cardinality(v_at) loop
    statuses[v_at[i]] := v_threads[i];
  end loop;
  hints := array(select distinct 'q' || s from unnest(v_services) s);
end $$;
