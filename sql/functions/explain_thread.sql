-- Why an open thread is not moving: { reason, message, details, waitsFor: [{ reason, message, details, of }] }. The message is
-- a sentence without its subject. A thread that is not blocked, paused or without a worker has the reason of the most telling of
-- the operations that it waits for.
create or replace function explain_thread(p_thread_no bigint, p_depth int) returns jsonb
language plpgsql stable as $$
declare
  v_now timestamptz := clock();
  t thread;
  v_worker worker;
  v_suspect suspect;
  v_last timestamptz;
  v_ops int[];
  v_waits jsonb := '[]';
  v_nobody jsonb;
  v_live int;
  v_details jsonb;
begin
  select x.* into t from thread x where x.thread_no = p_thread_no;
  v_last := (select h.at from history h where h.thread_no = p_thread_no order by h.seq desc limit 1);
  if t.state = 'blocked' and (t.excluded is null or t.excluded = '{}') then
    select x.* into v_suspect from suspect x where x.thread_no = p_thread_no;
    return case when t.excluded is null then jsonb_build_object('reason', 'suspect', 'message',
        format('may be what ends its workers: %s died with it in a row; it is tried again apart from others', v_suspect.deaths))
      else jsonb_build_object('reason', 'quarantined', 'message',
        format('is quarantined: it %s; handle.resume() tries it again', t.blocked_reason)) end
      || jsonb_build_object('waitsFor', '[]'::jsonb, 'details', jsonb_strip_nulls(jsonb_build_object(
        'deaths', v_suspect.deaths, 'sinceAt', moment_in_utc(v_suspect.since), 'lastStepAt', moment_in_utc(v_last))));
  end if;
  if t.state = 'blocked' then
    return jsonb_build_object('reason', 'blocked', 'waitsFor', '[]'::jsonb,
      'message', format('is blocked: %s; each newly started worker tries it once, and all do after handle.resume()', t.blocked_reason),
      'details', jsonb_strip_nulls(jsonb_build_object('cause', t.blocked_reason,
        'entry', substring(t.blocked_reason from 'history entry ([0-9]+)')::int, 'triedBy', to_jsonb(t.excluded))));
  end if;
  if t.state = 'owned' then
    select w.* into v_worker from worker w where w.worker_no = t.owner;
    v_details := jsonb_strip_nulls(jsonb_build_object('worker', t.owner, 'description', v_worker.description,
      'lastStepAt', moment_in_utc(v_last)));
    if v_worker.died_at is not null or v_worker.lease_until <= v_now then
      v_nobody := explain_service(t.service_no, t.excluded);
      return jsonb_build_object('reason', 'lease-expired', 'waitsFor', '[]'::jsonb,
        'message', format('belongs to %s, which has not been heard of: its lease ended %s ago; %s', worker_in_words(t.owner),
          span_in_words(v_now - v_worker.lease_until),
          coalesce('nobody takes it over: ' || (v_nobody ->> 'message'), 'another worker takes it over within seconds')),
        'details', v_details || jsonb_build_object('leaseEndsAt', moment_in_utc(v_worker.lease_until))
          || coalesce(v_nobody -> 'details', '{}'));
    end if;
    v_ops := open_operations(p_thread_no);
    v_waits := explain_operations(p_thread_no, v_ops, p_depth);
    return jsonb_build_object('reason', 'running', 'waitsFor', v_waits, 'details', v_details,
      'message', format('runs on %s, %s', worker_in_words(t.owner),
        coalesce('its last step was ' || span_in_words(v_now - v_last) || ' ago', 'without a step so far'))
        || case
          when t.paused then '; it is being paused'
          when v_ops <> '{}' then coalesce('; it ' || (
            select string_agg(w ->> 'message', ', and ' order by n) from jsonb_array_elements(v_waits) with ordinality l (w, n)
            where n <= 3), '')
          when v_now - coalesce(v_last, v_now) > interval '10 s' then
            '; nothing durable is under way: its code awaits something else, or holds up its process'
          else '' end);
  end if;
  if t.state = 'parked' and (t.ready_at is null or t.ready_at > v_now) then
    v_waits := explain_operations(p_thread_no, t.blocked_on, p_depth);
    return jsonb_build_object('reason', v_waits -> 0 -> 'reason', 'details', v_waits -> 0 -> 'details', 'waitsFor', v_waits,
      'message', (
        select string_agg(w ->> 'message', ', and ' order by n) || case when cardinality(t.blocked_on) > 5
          then format(', and %s more', cardinality(t.blocked_on) - 5) else '' end
        from jsonb_array_elements(v_waits) with ordinality l (w, n) where n <= 5));
  end if;
  -- ready, or parked with a timer that is due
  if t.ready_at > v_now then
    return jsonb_build_object('reason', 'delayed', 'waitsFor', '[]'::jsonb,
      'message', format('is not to begin before %s (in %s)', moment_in_utc(t.ready_at), span_in_words(t.ready_at - v_now)),
      'details', jsonb_build_object('startsAt', moment_in_utc(t.ready_at)));
  end if;
  v_nobody := explain_service(t.service_no, t.excluded);
  if v_nobody is not null then
    return v_nobody || jsonb_build_object('waitsFor', '[]'::jsonb,
      'message', 'is ready to go on, but ' || (v_nobody ->> 'message'));
  end if;
  v_live := (select count(*) from worker w
    where w.released_at is null and w.died_at is null and w.lease_until > v_now and t.service_no = any(w.services));
  return jsonb_build_object('reason', 'ready', 'waitsFor', '[]'::jsonb,
    'message', format('is ready since %s and waits for room in %s', span_in_words(v_now - t.ready_at),
      case v_live when 1 then 'the worker that serves it' else 'one of the ' || v_live || ' workers that serve it' end),
    'details', jsonb_build_object('readyAt', moment_in_utc(t.ready_at), 'workers', v_live));
end $$;
