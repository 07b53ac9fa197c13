-- Commits activations: each item is one history entry of one thread, with its effects. One call for many threads; an
-- item whose thread moved on is refused alone.
--
-- An item is accepted when the worker's lease is alive, the thread is owned by it in the named epoch, and the entry
-- before it carries the named commit (DESIGN 3.3). Refused items change nothing.
--
-- Effects (e_*), by kind:
--   timer    op, number = ms from now          fire     op: timer that fired; refused while not due ('early')
--   untimer  op: disarmed                      wait     op, key = signal id
--   unwait   op: ended without its signal; refused when the signal came first ('stale')
--   task     op, key = queue, extra = name, value = input
--   limits   op of a task, extra = its time limits
--   untask   op
--   child    op, key = workflow id, value = args, extra = { taskQueue, workflowName, awaited, ... }
--   child on terms   as child, with extra.terms: see start_children_on_terms
--   uncall   op: awaited child to cancel
--   hook     op, key = workflow id (null: its own), value = args, extra = { taskQueue, workflowName, signalId, ... };
--            one whose signal is awaited has a wait of the same op, which is not registered when the hook is refused
--   own      the thread is a hook: see the locks
--   signal   op, key = signal id, value = payload, number = ms to keep it, extra = the chain it is for (null: the namespace)
--   emit     key = topic, value = payload
--   search, entity   op, key = method, value = its arguments, as JSON
--   terminate  op, key = workflow id, value = failure, number = seconds it stays readable, extra = 'descend' or ''
-- Closing (p_closing): completed | failed | cancelled | continued; p_result is the result, the failure, or the new args.
--
-- Answers only what is not plain success, as (item, status, detail):
--   again    this very commit was done before; detail = its outcome        decided   detail = outcome: [[op, what, value], ...]
--   early    a timer is not due yet; detail = ms to wait                   stale     reload: a signal came first
--   fenced   reload or drop: the thread is no longer ours, or the history differs
--   hints    (item 0) who should look
-- Locks, in this order, each class sorted: own worker; rendezvous; executions that close, are cancelled,
-- terminated or get a hook; documents; threads (own where others may deliver to them, parents, children to cancel, receivers of signals, whoever
-- awaits a hook that ends); inserts; the counter of emitted events. A hook's own thread always ('own'): the end of its run
-- writes the hook's last entry, and would else meet the one written here behind its own locks and rows, where two such
-- calls wait for each other for ever.
-- A worker of a scoped role commits within its grants: see scoped_commit.
-- Raises PD001, PD002, 40001, 42501; 23505 of history when an own first call is just committing: the lane sends it again.
-- (`on conflict do nothing` would spare that, and costs every entry 50 bytes of WAL and 1.3 us.)
--
-- Odd shapes: `cross join lateral (... offset 0)` and deletes in a loop keep every access a look-up by primary key. As
-- plain joins the planner, which sees few owned threads and empty tables in its statistics, read all rows of
-- thread_owned for each item: 500 items took 180 ms instead of 8.
create or replace function commit(
  p_worker_no int, p_patient boolean,
  p_thread_no bigint[], p_epoch int[], p_seq int[], p_commit_no bigint[], p_previous_commit_no bigint[],
  p_opened_from int[], p_opened_count int[], p_resolved int[], p_resolved_more text[], p_body text[],
  p_closing text[], p_result text[],
  c_item int[], c_inbox_no bigint[],
  e_item int[], e_kind text[], e_op int[], e_key text[], e_value text[], e_number double precision[], e_extra text[]
) returns table (item int, status text, detail text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_now timestamptz;
  v_scope int[];
  v_kinds text[] := '{}';
  v_closing bigint[] := '{}';    -- threads that close
  v_states text[];
  v_results text[];
  v_refused int[] := '{}';       -- items refused before the insert
  v_ok boolean[];                -- by item, filled only when one was refused
  v_accepted bigint[];
  v_locked bigint[] := '{}';
  v_runs bigint[] := '{}';
  v_ending bigint[] := '{}';     -- runs that end or are cancelled, with the numbers of hooks that end, which are no run's
  v_signal_ids text[] := '{}';
  v_signal_chains bigint[] := '{}';
  v_gone text[] := '{}';
  v_id text;
  v_hints text[] := '{}';
  v_row record;
begin
  perform begin_write(p_patient);
  v_scope := lock_lease(p_worker_no);
  -- pause: leased
  if v_scope is not null then
    perform checked_sizes('commit', p_body || p_result || e_value || e_extra);
    select s.* into p_thread_no, e_kind, e_key, e_extra
    from scoped_commit(p_worker_no, p_thread_no, p_seq, p_commit_no, p_opened_from, p_opened_count, p_closing,
      e_item, e_kind, e_key, e_number, e_extra) s;
  end if;

  if cardinality(e_item) > 0 then
    v_kinds := array(select distinct k from unnest(e_kind) k);
  end if;
  v_closing := array(
    select u.thread_no from unnest(p_thread_no, p_closing) u (thread_no, closing) where u.closing is not null);

  if v_kinds && '{wait,signal}' then
    select coalesce(array_agg(u.k order by n), '{}'), coalesce(array_agg(u.x::bigint order by n), '{}') into v_signal_ids, v_signal_chains
    from unnest(e_kind, e_key, e_extra) with ordinality u (kind, k, x, n) where u.kind = 'signal';
    perform lock_rendezvous(
      array(select u.k from unnest(e_kind, e_key) u (kind, k) where u.kind in ('wait', 'signal')), v_signal_ids <> '{}');
    -- pause: met
  end if;

  if v_closing <> '{}' or v_kinds && '{uncall,terminate,hook,child on terms}' then
    v_ending := v_closing;
    if v_kinds && '{uncall}' then
      v_ending := v_ending || awaited_runs(p_thread_no, e_item, e_kind, e_op);
    end if;
    if v_kinds && '{terminate}' then
      v_ending := v_ending || array(select latest_run(u.k) from unnest(e_kind, e_key) u (kind, k) where u.kind = 'terminate');
    end if;
    if v_kinds && '{child on terms}' then
      v_ending := v_ending || keyed_runs('child on terms', e_kind, e_key);
    end if;
    v_runs := v_ending;
    if v_kinds && '{hook}' then
      v_runs := v_runs || hooked_runs(p_thread_no, e_item, e_kind, e_key, e_extra, false);
    end if;
    v_runs := array(
      select e.run_no from execution e where e.run_no = any(v_runs) order by e.run_no for no key update);
  end if;
  if v_kinds && '{search,entity,hook}' or v_closing <> '{}' and 'continued' = any(p_closing) then
    perform lock_documents(
      array(
        select t.run_no
        from unnest(e_item, e_kind) u (item, kind)
        cross join lateral (
          select x.run_no, x.owner, x.epoch from thread x where x.thread_no = p_thread_no[u.item] offset 0) t
        -- none is made for whoever is refused below: its run may be gone
        where u.kind in ('search', 'entity') and t.owner = p_worker_no and t.epoch = p_epoch[u.item])
        || case when v_kinds && '{hook}' then hooked_runs(p_thread_no, e_item, e_kind, e_key, e_extra, true) end,
      -- a continued run's document moves on; its hooks hold it while they wait for their threads
      array(select u.thread_no from unnest(p_thread_no, p_closing) u (thread_no, closing) where u.closing = 'continued'));
    -- pause: documents
  end if;
  if v_closing <> '{}' or v_kinds && '{wait,unwait,signal,uncall,untask,terminate,own,child on terms}' then
    v_locked := array(
      select t.thread_no from thread t
      where t.thread_no in (
        select p_thread_no[u.item] from unnest(e_item, e_kind) u (item, kind) where u.kind in ('wait', 'unwait', 'untask', 'own')
        union all select unnest(v_closing)
        union all select r.thread_no from thread r where r.run_no = any(v_ending)
        union all select e.parent_thread from execution e where e.run_no = any(v_ending)
        union all select k.opener_thread from hook k where k.run_no = any(v_ending)
        union all select k.opener_thread from hook k where k.thread_no = any(v_closing)
        union all select unnest(waiters_of(v_signal_ids, v_signal_chains)))
      order by t.thread_no for no key update);
    -- pause: locked
  end if;

  if v_kinds && '{uncall}' and not awaited_runs(p_thread_no, e_item, e_kind, e_op) <@ v_runs then
    raise exception 'a child was continued meanwhile' using errcode = '40001';
  end if;
  if v_kinds && '{hook}' and not hooked_runs(p_thread_no, e_item, e_kind, e_key, e_extra, false) <@ v_runs then
    raise exception 'the workflow of a hook was started or continued meanwhile' using errcode = '40001';
  end if;

  if v_kinds && '{child on terms}' and not keyed_runs('child on terms', e_kind, e_key) <@ v_runs then
    raise exception 'the id of a child was given to another run meanwhile' using errcode = '40001';
  end if;

  v_now := clock();
  if v_kinds && '{unwait,fire}' then
    for v_row in
      select u.item, 'stale' as status, null::double precision as ms
      from unnest(e_item, e_kind, e_op) u (item, kind, op)
      where u.kind = 'unwait'
        and not exists (select from wait w where w.thread_no = p_thread_no[u.item] and w.op = u.op)
      union all
      select u.item, 'early', extract(epoch from t.due_at - v_now) * 1000
      from unnest(e_item, e_kind, e_op) u (item, kind, op)
      cross join lateral (
        select x.due_at from timer x where x.thread_no = p_thread_no[u.item] and x.op = u.op offset 0) t
      where u.kind = 'fire' and t.due_at > v_now
      order by 1, 2 desc, 3 desc
    loop
      if not v_row.item = any(v_refused) then
        v_refused := v_refused || v_row.item::int;
        -- a repeated commit finds its own traces here; that is told below
        if not exists (select from history h where h.thread_no = p_thread_no[v_row.item] and h.seq = p_seq[v_row.item]) then
          item := v_row.item; status := v_row.status; detail := v_row.ms::text;
          return next;
        end if;
      end if;
    end loop;
  end if;

  with made as (
    insert into history (thread_no, commit_no, previous_commit_no, at, seq, worker_no, epoch,
      opened_from, opened_count, resolved, resolved_more, closes, body, result)
    select u.thread_no, u.commit_no, u.previous_commit_no, v_now, u.seq, p_worker_no, u.epoch,
      u.opened_from, u.opened_count, u.resolved, u.resolved_more::int[], u.closing is not null, u.body, u.result
    from unnest(p_thread_no, p_epoch, p_seq, p_commit_no, p_previous_commit_no, p_opened_from, p_opened_count,
      p_resolved, p_resolved_more, p_body, p_closing, p_result) with ordinality
      u (thread_no, epoch, seq, commit_no, previous_commit_no, opened_from, opened_count,
         resolved, resolved_more, body, closing, result, n)
    cross join lateral (select x.owner, x.epoch from thread x where x.thread_no = u.thread_no offset 0) t
    left join lateral (
      select x.seq, x.commit_no, x.closes from history x where x.thread_no = u.thread_no order by x.seq desc limit 1) l on true
    where t.owner = p_worker_no and t.epoch = u.epoch and not u.n = any(v_refused)
      and u.seq = coalesce(l.seq + 1, 0) and l.commit_no is not distinct from u.previous_commit_no and l.closes is not true
    order by u.thread_no
    returning thread_no
  )
  select coalesce(array_agg(thread_no), '{}') into v_accepted from made;
  -- pause: inserted

  if cardinality(v_accepted) < cardinality(p_thread_no) then
    return query
    select u.n::int, case when h.commit_no is null then 'fenced' else 'again' end, h.outcome
    from unnest(p_thread_no, p_seq, p_commit_no) with ordinality u (thread_no, seq, commit_no, n)
    left join lateral (
      select x.commit_no, x.outcome from history x
      where x.thread_no = u.thread_no and x.seq = u.seq and x.commit_no = u.commit_no offset 0) h on true
    where not u.thread_no = any(v_accepted)
      and (h.commit_no is not null or not u.n = any(v_refused)
        or exists (select from history x where x.thread_no = u.thread_no and x.seq = u.seq));
    -- from here on the arrays hold accepted items only
    v_ok := array(select u = any(v_accepted) from unnest(p_thread_no) with ordinality x (u, n) order by n);
    v_closing := array(select u from unnest(v_closing) u where u = any(v_accepted));
    select coalesce(array_agg(u.item), '{}'), coalesce(array_agg(u.no), '{}') into c_item, c_inbox_no
    from unnest(c_item, c_inbox_no) u (item, no) where v_ok[u.item];
    select coalesce(array_agg(u.item order by n), '{}'), coalesce(array_agg(u.kind order by n), '{}'),
      coalesce(array_agg(u.op order by n), '{}'), coalesce(array_agg(u.k order by n), '{}'),
      coalesce(array_agg(u.v order by n), '{}'), coalesce(array_agg(u.num order by n), '{}'),
      coalesce(array_agg(u.x order by n), '{}')
    into e_item, e_kind, e_op, e_key, e_value, e_number, e_extra
    from unnest(e_item, e_kind, e_op, e_key, e_value, e_number, e_extra) with ordinality u (item, kind, op, k, v, num, x, n)
    where v_ok[u.item];
  end if;

  for i in 1 .. cardinality(c_item) loop
    delete from inbox x where x.thread_no = p_thread_no[c_item[i]] and x.inbox_no = c_inbox_no[i];
  end loop;
  if v_kinds && '{untimer,fire,untask,unwait}' then
    for i in 1 .. cardinality(e_item) loop
      if e_kind[i] in ('untimer', 'fire') then
        delete from timer x where x.thread_no = p_thread_no[e_item[i]] and x.op = e_op[i];
      elsif e_kind[i] = 'untask' then
        delete from activity_task x where x.thread_no = p_thread_no[e_item[i]] and x.op = e_op[i];
      elsif e_kind[i] = 'unwait' then
        delete from wait x where x.thread_no = p_thread_no[e_item[i]] and x.op = e_op[i] returning x.signal_id into v_id;
        v_gone := v_gone || v_id;
      end if;
    end loop;
    if v_gone <> '{}' then
      perform forget_rendezvous(v_gone);
    end if;
  end if;
  if v_kinds && '{timer}' then
    insert into timer (thread_no, op, due_at)
    select p_thread_no[u.item], u.op, v_now + u.ms * interval '1 ms'
    from unnest(e_item, e_kind, e_op, e_number) u (item, kind, op, ms)
    where u.kind = 'timer';
  end if;
  if v_kinds && '{task}' then
    v_hints := v_hints || insert_tasks(p_thread_no, e_item, e_kind, e_op, e_key, e_value, e_extra);
    if v_kinds && '{limits}' then
      perform limit_tasks(p_thread_no, e_item, e_kind, e_op, e_extra);
      v_hints := v_hints || 'x'::text;               -- look when the next limit is due: see expire_tasks
    end if;
  end if;
  if v_kinds && '{uncall}' then
    v_hints := v_hints || cancel_runs(awaited_runs(p_thread_no, e_item, e_kind, e_op));
  end if;
  if v_kinds && '{child,hook,signal,wait,search,entity}' then
    for v_row in
      select d.* from decide_effects(p_thread_no, v_locked, e_item, e_kind, e_op, e_key, e_value, e_number, e_extra) d
    loop
      if v_row.item = 0 then
        v_hints := v_hints || string_to_array(v_row.outcome, ',');
      else
        -- in the row that commits the command: returned again on a retry, found by every replay
        update history h set outcome = v_row.outcome
        where h.thread_no = p_thread_no[v_row.item] and h.seq = p_seq[v_row.item];
        item := v_row.item; status := 'decided'; detail := v_row.outcome;
        return next;
      end if;
    end loop;
  end if;

  if v_closing <> '{}' then
    select array_agg(u.t order by n), array_agg(u.c order by n), array_agg(u.r order by n)
    into v_closing, v_states, v_results
    from unnest(p_thread_no, p_closing, p_result) with ordinality u (t, c, r, n)
    where u.c is not null and (v_ok is null or v_ok[u.n]);
    v_hints := v_hints || close_threads(v_closing, v_states, v_results);
  end if;
  if v_kinds && '{terminate,child on terms}' then
    for v_row in
      select d.item, string_agg(d.decision, ',' order by d.n) as decisions
      from late_effects(p_thread_no, v_runs, e_item, e_kind, e_op, e_key, e_value, e_number, e_extra)
        with ordinality d (item, decision, n)
      group by d.item
    loop
      if v_row.item = 0 then
        v_hints := v_hints || string_to_array(v_row.decisions, ',');
      else
        update history h set outcome = '[' || coalesce(substr(h.outcome, 2, length(h.outcome) - 2) || ',', '') || v_row.decisions || ']'
        where h.thread_no = p_thread_no[v_row.item] and h.seq = p_seq[v_row.item]
        returning h.outcome into detail;
        item := v_row.item; status := 'decided';
        return next;
      end if;
    end loop;
  end if;
  if v_kinds && '{emit}' then                        -- last: others who emit wait for it until the commit
    v_hints := v_hints || keep_emissions(p_thread_no, e_item, e_kind, e_key, e_value);
  end if;
  -- pause: done

  if v_hints <> '{}' then
    return query select 0, 'hints'::text, string_agg(distinct h, ',') from unnest(v_hints) h;
  end if;
end $$;
