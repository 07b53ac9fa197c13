-- start, for items that say more than what to run. Terms, as JSON; all optional:
--   reuse, conflict   what to do when the id is taken: see verdict
--   pendingMs         reserves the id for that long
--   delayMs           not to be claimed before
--   executionTimeoutMs, runTimeoutMs
--   signalId, payload, expireMs   a signal for the run that is begun or used, in the same transaction
-- Items take effect one after the other: a later one of the same id meets the run of an earlier one. Requests are
-- remembered: one that used what was there leaves no row of its own.
-- Locks: request slot and rows; rendezvous of ids with signals put back (alone); the newest runs of the ids; documents of
-- reservations; threads of runs that may end or get a signal, of their parents and of whoever awaits their hooks; inserts.
-- Raises 40001 (an id changed hands meanwhile: start over).
create or replace function start_on_terms(
  p_request_no bigint[], p_workflow_id text[], p_service_no int[], p_args text[], p_config text[], p_expire_s double precision[],
  p_signal_in boolean[], p_terms text[], p_entity text[], p_search text[], p_parent_workflow_id text[], p_origin_id text[], p_trace text[]
) returns table (item int, status text, run_no bigint)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_answers text[];              -- by item: word and number of the run within its id, e.g. 'started 3'
  v_terms json[] := p_terms::json[];
  v_new int[];                   -- items that were not answered before, by id
  v_runs bigint[];               -- the newest runs of the ids, locked
  v_touched bigint[];
  v_locked bigint[] := '{}';
  v_met text[];
  v_old execution;
  v_next execution;
  v_word text;
  v_sent record;
  v_hints text[] := '{}';
  n int;
begin
  v_answers := remember_requests(p_request_no);
  v_answers := array(                                -- an ordinary start may have gone the short way before
    select coalesce(u.answer, 'started ' || e.run)
    from unnest(v_answers, p_workflow_id, p_request_no) with ordinality u (answer, id, request_no, n)
    left join lateral (
      select x.run from execution x where x.workflow_id = u.id and x.request_no = u.request_no limit 1) e on true
    order by u.n);
  -- pause: remembered
  v_new := array(
    select u.n from unnest(v_answers, p_workflow_id) with ordinality u (answer, id, n)
    where u.answer is null order by u.id collate "C", u.n);
  v_met := array(
    select distinct v_terms[u.n] ->> 'signalId' from unnest(v_new) u (n)
    where exists (select from signal s where s.returned and s.signal_id = v_terms[u.n] ->> 'signalId'));
  perform lock_rendezvous(v_met, true);
  v_runs := array(
    select e.run_no from execution e
    where e.run_no in (select latest_run(p_workflow_id[u.n]) from unnest(v_new) u (n))
    order by e.run_no for no key update);
  if exists (
    select from unnest(v_new) u (n)
    cross join lateral (select latest_run(p_workflow_id[u.n]) as run_no offset 0) l
    where l.run_no is not null and not l.run_no = any(v_runs))
  then
    raise exception 'a run was started or continued meanwhile' using errcode = '40001';
  end if;
  -- pause: locked
  perform lock_documents(array(
    select e.run_no from execution e
    where e.run_no = any(v_runs) and e.state = 'pending'
      and exists (select from unnest(v_new) u (n) where p_workflow_id[u.n] = e.workflow_id and p_search[u.n] is not null)), '{}');
  v_touched := array(
    select e.run_no from execution e
    where e.run_no = any(v_runs) and e.state = 'open' and exists (
      select from unnest(v_new) u (n)
      where p_workflow_id[u.n] = e.workflow_id
        and (v_terms[u.n] ->> 'conflict' = 'TERMINATE_EXISTING' or v_terms[u.n] ->> 'signalId' is not null)));
  if v_touched <> '{}' then
    v_locked := array(
      select t.thread_no from thread t
      where t.thread_no in (
        select r.thread_no from thread r where r.run_no = any(v_touched)
        union all select e.parent_thread from execution e where e.run_no = any(v_touched)
        union all select k.opener_thread from hook k where k.run_no = any(v_touched))
      order by t.thread_no for no key update);
    -- pause: threads
  end if;

  -- First what meets a run that goes on, or ends it. Before anything is inserted: the owner of a run that ends may be
  -- committing, and starting children under the very ids that this call is to give away.
  foreach n in array v_new loop
    select e.* into v_old from execution e
    where e.run_no = latest_run(p_workflow_id[n]) and e.run_no = any(v_runs) and e.state = 'open';
    continue when not found;
    v_word := verdict(v_old, v_terms[n]);
    if v_word = 'end' then
      v_hints := v_hints || replace_run(v_old);
    else
      v_answers[n] := case v_word when 'existing' then 'existing ' else 'duplicate ' end || v_old.run;
    end if;
  end loop;

  foreach n in array v_new loop
    continue when v_answers[n] is not null;
    select e.* into v_old from execution e where e.run_no = latest_run(p_workflow_id[n]);
    v_word := case when v_old.run_no is null then 'free' else verdict(v_old, v_terms[n]) end;
    if v_word = 'end' then                           -- an earlier item began it
      v_hints := v_hints || replace_run(v_old);
      v_word := 'free';
    end if;
    if v_word in ('fill', 'free') then
      v_next := null;
      v_next.request_no := p_request_no[n];
      v_next.workflow_id := p_workflow_id[n];
      v_next.service_no := p_service_no[n];
      v_next.args := p_args[n];
      v_next.config := p_config[n];
      v_next.expire_s := p_expire_s[n];
      v_next.signal_in := p_signal_in[n];
      v_next.entity := p_entity[n];
      v_next.parent_workflow_id := p_parent_workflow_id[n];
      v_next.origin_id := p_origin_id[n];
      v_next.trace := p_trace[n];
      if v_word = 'fill' then
        perform fill_reservation(v_old.run_no, v_next, v_terms[n], p_search[n]);
      else
        v_old := next_run(v_next, v_old);
        if not begin_run(v_old, v_terms[n], p_search[n]) then
          raise exception 'a run was started meanwhile' using errcode = '40001';
        end if;
      end if;
    end if;
    v_answers[n] := case v_word when 'taken' then 'duplicate ' when 'existing' then 'existing ' else 'started ' end || v_old.run;
    if v_word in ('free', 'fill') then
      v_hints := v_hints || ('q' || p_service_no[n]) || hint_of_terms(v_terms[n]);
    end if;
  end loop;
  -- pause: begun

  select d.* into v_sent
  from (
    select array_agg(v_terms[u.n] ->> 'signalId' order by u.n) as ids, array_agg(e.chain_no order by u.n) as chains,
      array_agg(v_terms[u.n] ->> 'payload' order by u.n) as payloads,
      array_agg((v_terms[u.n] ->> 'expireMs')::double precision order by u.n) as expire_ms
    from unnest(v_new) u (n)
    cross join lateral (
      select x.chain_no from execution x
      where x.workflow_id = p_workflow_id[u.n] and x.run = split_part(v_answers[u.n], ' ', 2)::int offset 0) e
    where v_terms[u.n] ->> 'signalId' is not null and v_answers[u.n] not like 'duplicate %'
  ) s
  cross join lateral deliver_signals(v_locked, v_met, s.ids, s.chains, s.payloads, s.expire_ms) d
  where s.ids is not null;
  if 'full' = any(v_sent.statuses) then              -- the workflow is not to run without it
    raise exception 'as many signals are kept for this workflow as may be' using errcode = 'PD429';
  end if;
  v_hints := v_hints || coalesce(v_sent.hints, '{}');
  perform answer_requests(p_request_no, v_answers);
  return query
  select u.n::int, split_part(u.answer, ' ', 1), e.chain_no
  from unnest(v_answers, p_workflow_id) with ordinality u (answer, workflow_id, n)
  left join lateral (
    select x.chain_no from execution x where x.workflow_id = u.workflow_id and x.run = split_part(u.answer, ' ', 2)::int offset 0) e on true;
  return query select 0, string_agg(distinct h, ','), null::bigint from unnest(v_hints) h where h is not null;
end $$;
