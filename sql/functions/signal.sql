-- Sends signals: to a workflow (p_workflow_id; with p_chain_no only while that chain carries the id) or to whoever waits longest in the namespace (null). Idempotent by
-- request number for ten minutes. Answers per item: delivered | buffered | full | unknown | inactive; hints on item 0.
-- Locks: request slot and rows; rendezvous (alone) of namespace signals and of ids with signals put back; executions addressed (shared); waiting threads.
-- Raises PD001, 40001 (a run continued or was replaced, or a waiter left, meanwhile: start over).
create or replace function signal(
  p_patient boolean, p_request_no bigint[], p_signal_id text[], p_workflow_id text[], p_payload text[],
  p_expire_ms double precision[], p_chain_no bigint[]
) returns table (item int, status text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_answers text[];
  v_item int[];
  v_id text[];
  v_payload text[];
  v_expire_ms double precision[];
  v_chains bigint[];
  v_runs bigint[];
  v_locked bigint[];
  v_met text[];
  v_sent record;
begin
  perform begin_write(p_patient);
  v_answers := remember_requests(p_request_no);
  -- pause: remembered
  -- of targeted signals only where others were put back: those come first, and are given out under this lock
  v_met := array(
    select distinct u.id from unnest(p_signal_id, p_workflow_id, v_answers) u (id, workflow_id, answer)
    where u.answer is null
      and (u.workflow_id is null or exists (select from signal s where s.returned and s.signal_id = u.id)));
  perform lock_rendezvous(v_met, true);
  -- pause: met
  v_runs := array(
    select e.run_no from execution e
    where e.run_no in (
      select x.run_no from unnest(p_workflow_id) w (id)
      cross join lateral (
        select x.run_no from execution x where x.workflow_id = w.id order by x.run desc limit 1) x)
    order by e.run_no for share);
  if exists (
    select from execution e
    where e.run_no = any(v_runs) and e.state not in ('open', 'pending') and e.run_no <> latest_run(e.workflow_id))
  then
    raise exception 'a run was continued or replaced meanwhile' using errcode = '40001';
  end if;
  select coalesce(array_agg(u.n::int order by u.n), '{}'), coalesce(array_agg(u.id order by u.n), '{}'),
    coalesce(array_agg(u.payload order by u.n), '{}'), coalesce(array_agg(u.expire_ms order by u.n), '{}'),
    coalesce(array_agg(e.chain_no order by u.n), '{}')
  into v_item, v_id, v_payload, v_expire_ms, v_chains
  from unnest(p_signal_id, p_workflow_id, p_payload, p_expire_ms, p_chain_no, v_answers) with ordinality
    u (id, workflow_id, payload, expire_ms, chain_no, answer, n)
  left join lateral (
    select x.run_no, x.chain_no from execution x
    where x.workflow_id = u.workflow_id and x.run_no = any(v_runs) and x.state in ('open', 'pending')
      and (u.chain_no is null or x.chain_no = u.chain_no) offset 0) e on true
  where u.answer is null and (u.workflow_id is null or e.run_no is not null);
  v_locked := array(
    select t.thread_no from thread t
    where t.thread_no = any(waiters_of(v_id, v_chains))
       or t.run_no = any(v_runs)                     -- a waiter registers under its thread's lock: keep it out
    order by t.thread_no for no key update);
  -- pause: locked
  select d.* into v_sent from deliver_signals(v_locked, v_met, v_id, v_chains, v_payload, v_expire_ms) d;
  v_answers := array(
    select coalesce(u.answer, v_sent.statuses[array_position(v_item, u.n::int)], case when e.run_no is null then 'unknown' else 'inactive' end)
    from unnest(v_answers, p_workflow_id) with ordinality u (answer, workflow_id, n)
    left join lateral (
      select x.run_no from execution x where x.workflow_id = u.workflow_id and x.run_no = any(v_runs) offset 0) e on true
    order by u.n);
  perform answer_requests(p_request_no, v_answers);
  return query select n::int, a from unnest(v_answers) with ordinality u (a, n);
  if v_sent.hints <> '{}' then
    return query select 0, array_to_string(v_sent.hints, ',');
  end if;
end $$;
