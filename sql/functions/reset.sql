-- Goes back: makes a new run with the first p_keep entries of run p_run_no's main thread, from where it goes on live.
-- Under the same id (p_workflow_id null), in the same chain: the run must be the id's newest; when it is open it ends here, as
-- continued, and its parent awaits the new one. Or under another id, as a chain of its own; the original is left alone.
--
-- What the kept entries left open is worked out by the caller from them, and they never change: timers (t_*, due at ms since
-- the epoch), waits (w_*), awaited children (c_op) and hooks (h_*); d_* are outcomes that are told again though they were
-- recorded behind the point. An activity that is open needs nothing: whoever claims the run finds that nobody does it.
-- Hooks begin anew. A child goes over to the new run, or its outcome is told.
-- s_* are the signals that entries behind the point took, in order, as far as entry p_seen: they are put back before all
-- others. When entries that came since took signals nothing is done ('moved': look again).
--
-- Repeatable: the request number stands on the new run; also where p_run_no is that run already, or one it was continued as.
-- Answers the new run and its chain with 'reset' or 'again'; or why not:
-- unknown | pending | superseded | not failed | moved | child (a fork cannot share one that is under way) | duplicate (the
-- other id is taken); and hints.
-- Locks: rendezvous (alone) of waits, hooks and signals; executions (the run, newest runs of open children, sorted); the
-- documents; threads of the run and of those who await its hooks. Raises PD001, 40001.
create or replace function reset(
  p_patient boolean, p_request_no bigint, p_run_no bigint, p_workflow_id text, p_cause text, p_reason text,
  p_keep int, p_opened int, p_seen int, p_cancelled boolean,
  t_op int[], t_due_ms double precision[], w_op int[], w_signal_id text[], c_op int[], h_op int[], h_signal_id text[],
  d_op int[], d_payload text[], s_signal_id text[], s_payload text[]
) returns table (status text, run_no bigint, chain_no bigint, hints text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_now timestamptz;
  v_old execution;
  v_thread thread;
  v_id text;
  v_met text[] := w_signal_id || h_signal_id || s_signal_id;
  v_children bigint[];
  v_chain bigint;
  v_new bigint;
  v_open boolean;
  v_fork boolean := p_workflow_id is not null;
  v_paused boolean;
  v_chain_due_at timestamptz;
  v_hints text[] := '{}';
begin
  perform begin_write(p_patient);
  perform lock_rendezvous(v_met, true);
  -- pause: met
  v_children := newest_children(p_run_no, c_op);
  perform from execution e where e.run_no = any(v_children || p_run_no) order by e.run_no for no key update;
  -- pause: runs
  if v_children is distinct from newest_children(p_run_no, c_op) then
    raise exception 'a child was continued meanwhile' using errcode = '40001';
  end if;
  select e.* into v_old from execution e where e.run_no = p_run_no;
  select t.* into v_thread from thread t where t.thread_no = p_run_no;
  v_id := coalesce(p_workflow_id, v_old.workflow_id);
  -- behind the lock: an own first call has committed by now, or never will
  select e.run_no, e.chain_no into v_new, v_chain from execution e
  where e.workflow_id = v_id and e.request_no = p_request_no;
  if found then
    return query select 'again', v_new, v_chain, ''::text;
    return;
  end if;
  status := case
    when v_thread.thread_no is null then 'unknown'     -- its history is gone
    when v_old.state = 'pending' then 'pending'
    when not v_fork and latest_run(v_id) <> p_run_no then 'superseded'
    when p_cause = 'retried' and v_old.state <> 'failed' then 'not failed'
    when v_fork and exists (
      select from execution c where c.run_no = any(v_children) and c.state in ('open', 'pending')) then 'child'
  end;
  if status is not null then
    return next;
    return;
  end if;
  v_open := v_old.state = 'open' and not v_fork;
  v_paused := v_open and v_old.paused_at is not null;
  perform lock_documents('{}', array[p_run_no]);
  -- pause: documents
  if v_open then
    perform from thread t
    where t.thread_no in (
      select r.thread_no from thread r where r.run_no = p_run_no
      union all select k.opener_thread from hook k where k.run_no = p_run_no)
    order by t.thread_no for no key update;
    -- pause: locked
  end if;
  begin
    if v_open then
      perform end_threads(array[p_run_no]);
    end if;
    if not v_fork and exists (
      select from history h
      where h.thread_no = p_run_no and h.seq > p_seen and (h.body like '%["signal",%' or h.outcome like '%,"signal"%'))
    then
      raise exception 'moved';
    end if;
    if v_open then
      v_hints := close_threads(array[p_run_no], array['reset'], array[null::text]);
    end if;
  exception when raise_exception then                -- takes back what was done in this block
    return query select 'moved', null::bigint, null::bigint, ''::text;
    return;
  end;

  if not v_fork then
    -- what was to end with it goes on with it; one that is being ended this moment is not waited for, see descend
    delete from termination n
    where n.chain_no in (select x.chain_no from termination x where x.chain_no = v_old.chain_no for update skip locked);
  end if;
  v_now := clock();
  v_new := nextval('run_number');
  v_chain := case when v_fork then v_new else v_old.chain_no end;
  -- a limit that is over would end the new run at once
  v_chain_due_at := case when v_old.chain_due_at > v_now then v_old.chain_due_at end;
  -- whatever columns there are: the new run is as the old one, but for these
  insert into execution
  select r.*
  from json_populate_record(v_old, json_build_object(
    'run_no', v_new, 'chain_no', v_chain, 'request_no', p_request_no, 'workflow_id', v_id,
    'run', case when v_fork then 0 else v_old.run + 1 end, 'state', 'open', 'cause', p_cause, 'cause_reason', p_reason,
    'closed_at', null,
    -- recorded steps know no time before it
    'created_at', case when p_keep > 0 then v_old.created_at else v_now end,
    'start_at', null, 'chain_due_at', v_chain_due_at,
    'due_at', least(v_chain_due_at, v_now + v_old.run_timeout_ms * interval '1 ms'),
    'cancel_requested', p_cancelled,
    'paused_at', case when v_paused then v_old.paused_at end, 'pause_reason', case when v_paused then v_old.pause_reason end,
    'parent_thread', case when v_open then v_old.parent_thread end, 'parent_op', case when v_open then v_old.parent_op end,
    'parent_chain', case when not v_fork then v_old.parent_chain end,
    'lineage', lineage_of(v_old, p_keep, p_opened))) r
  on conflict (workflow_id, run) do nothing;
  if not found then
    return query select case when e.request_no = p_request_no then 'again' else 'duplicate' end, e.run_no, e.chain_no, ''::text
    from execution e where e.workflow_id = v_id and e.run = 0;
    return;
  end if;
  -- pause: inserted
  insert into thread (thread_no, run_no, service_no, state, ready_at, epoch, paused)
  values (v_new, v_new, v_thread.service_no, case when v_paused then 'paused' else 'ready' end,
    case when not v_paused then v_now end, coalesce((select max(h.epoch) from history h where h.thread_no = p_run_no and h.seq < p_keep), 0), v_paused);
  insert into history (thread_no, commit_no, previous_commit_no, at, seq, worker_no, epoch, opened_from, opened_count, resolved,
    resolved_more, closes, body, outcome)
  select v_new, h.commit_no, h.previous_commit_no, h.at, h.seq, h.worker_no, h.epoch, h.opened_from, h.opened_count, h.resolved,
    h.resolved_more, false, h.body, h.outcome
  from history h where h.thread_no = p_run_no and h.seq < p_keep;
  if v_open then
    update document d set run_no = v_new where d.run_no = p_run_no;
  else
    insert into document (run_no, search, entity)
    select v_new, d.search, d.entity from document d where d.run_no = p_run_no;
  end if;

  insert into timer (thread_no, op, due_at)
  select v_new, u.op, to_timestamp(u.ms / 1000) from unnest(t_op, t_due_ms) u (op, ms);
  v_hints := v_hints || ('q' || v_thread.service_no) || reopen_hooks(p_run_no, v_new, h_op, v_paused);
  insert into wait (thread_no, chain_no, op, signal_id)
  select v_new, v_chain, u.op, u.id from (
    select w.op, w.id from unnest(w_op, w_signal_id) w (op, id)
    union all
    select k.opener_op, k.signal_id from hook k where k.run_no = v_new) u (op, id)
  order by u.op;
  insert into inbox (thread_no, op, kind, payload)
  select v_new, u.op, 'done', u.payload from unnest(d_op, d_payload) with ordinality u (op, payload, n) order by u.n;
  for i in 1 .. cardinality(c_op) loop
    update execution c set parent_thread = v_new, parent_op = c_op[i]
    where c.run_no = v_children[i] and c.state in ('open', 'pending');
    continue when found;
    insert into inbox (thread_no, op, kind, payload)
    select v_new, c_op[i], case when c.state = 'completed' then 'done' else 'fail' end,
      case when c.run_no is not null then h.result else
        json_build_object('name', 'GetStateError', 'type', 'GetStateError', 'code', 404, 'stack', '',
          'message', 'the child workflow is not stored any more')::text end
    from (select v_children[i] as run_no) x
    left join execution c on c.run_no = x.run_no
    left join lateral (
      select y.result from history y where y.thread_no = x.run_no order by y.seq desc limit 1) h on true;
  end loop;

  if s_signal_id <> '{}' then
    -- before all others under their ids, in their old order
    with others as (
      delete from signal s
      where s.signal_id = any(s_signal_id) and (s.chain_no = v_chain or s.chain_no is null and s.returned)
      returning s.*
    )
    insert into signal (signal_id, chain_no, payload, expires_at, returned)
    select x.id, x.chain_no, x.payload, x.expires_at, true
    from (
      select u.id, v_chain, u.payload, v_now + interval '30 days', 0, u.n
      from unnest(s_signal_id, s_payload) with ordinality u (id, payload, n)
      union all
      select o.signal_id, o.chain_no, o.payload, o.expires_at, 1, o.signal_no from others o
    ) x (id, chain_no, payload, expires_at, part, n)
    order by x.part, x.n;
  end if;
  if v_met <> '{}' then
    -- who waits again looks as if it had come behind them: they are handed out as those that were put back, see tidy
    update signal s set returned = true
    where s.signal_id = any(w_signal_id || h_signal_id) and not s.returned and s.expires_at > v_now
      and (s.chain_no is null or s.chain_no = v_chain);
    perform forget_rendezvous(v_met);
    v_hints := v_hints || 't'::text;
  end if;
  -- the end of one, and the beginning of the other unless its worker writes its first entry
  v_hints := v_hints || case when v_open then array['e' || p_run_no] else '{}' end
    || case when p_keep > 0 then array['e' || v_new] else '{}' end;
  -- pause: done
  return query select 'reset', v_new, v_chain,
    (select string_agg(distinct h, ',') from unnest(v_hints) h);
end $$;
