-- Turns activities that ran eagerly in this process into task rows: at a failed attempt (due later), at stop, or when
-- they run for long, at the first heartbeat or when the task token is given out (p_claim_no: still running here). Bound
-- ones have no queue; their delay is a timer of the thread. Names the epoch of the thread it belongs to.
-- Idempotent by request number: a task made by the first call may have been finished, by another worker, before the
-- second. Answers the tasks that were refused because the thread is no longer ours, as [[thread, op], ...].
-- A scoped worker's are of queues it may call: else 42501.
-- Locks: own worker, the request, then the threads.
create or replace function queue_tasks(
  p_worker_no int, p_patient boolean, p_request_no bigint, p_thread_no bigint[], p_epoch int[], p_op int[], p_task_queue text[], p_name text[],
  p_input text[], p_attempt int[], p_delay_ms double precision[], p_claim_no bigint[], p_last_failure text[],
  p_limits text[], p_details text[], p_outside boolean[]
) returns text
language plpgsql as $$
-- plans: index only
declare
  v_queues text[] := array(select distinct u from unnest(p_task_queue) u where u is not null);
  v_services int[];
  v_answer text;
begin
  perform begin_write(p_patient);
  if lock_lease(p_worker_no) is not null then
    perform checked_sizes('queue_tasks', p_input || p_last_failure || p_details);
    p_thread_no := own_threads(p_worker_no, p_thread_no);
    perform assert_callable(caller_grants(), 'activity', q) from unnest(v_queues) q;
    perform checked_limits(l) from unnest(p_limits) l;
    perform checked_figure('attempt', a, 1, 1e6) from unnest(p_attempt) a;
  end if;
  v_answer := (remember_requests(array[p_request_no]))[1];
  if v_answer is not null then
    return v_answer;
  end if;
  -- pause: remembered
  perform from thread t where t.thread_no = any(p_thread_no) order by t.thread_no for no key update;
  -- pause: locked
  v_services := ensure_services(
    array_fill('activity'::text, array[cardinality(v_queues)]), v_queues, array_fill(''::text, array[cardinality(v_queues)]));
  with made as (
    insert into activity_task (thread_no, op, service_no, ready_at, owner, claim_no, epoch, attempt, losses, name, input, last_failure,
      limits, details, outside, started_at, close_at)
    select u.thread_no, u.op, coalesce(v_services[array_position(v_queues, u.task_queue)], 0),
      case when u.claim_no is null and not u.outside and u.task_queue is not null then clock() + u.delay_ms * interval '1 ms' end,
      case when u.claim_no is not null then p_worker_no end, u.claim_no, 1, u.attempt, 0, u.name, u.input, u.last_failure,
      u.limits, u.details, u.outside, case when u.limits is not null then clock() end,
      case when u.limits is not null then
        scheduled_at(u.thread_no, u.op) + (u.limits::json ->> 'scheduleToClose')::double precision * interval '1 ms' end
    from unnest(p_thread_no, p_epoch, p_op, p_task_queue, p_name, p_input, p_attempt, p_delay_ms, p_claim_no, p_last_failure,
      p_limits, p_details, p_outside)
      u (thread_no, epoch, op, task_queue, name, input, attempt, delay_ms, claim_no, last_failure, limits, details, outside)
    cross join lateral (select x.owner, x.epoch from thread x where x.thread_no = u.thread_no offset 0) t
    where t.owner = p_worker_no and t.epoch = u.epoch
      -- answered by task token before it became a task
      and not exists (select from inbox i where i.thread_no = u.thread_no and i.op = u.op)
    order by 1, 2
    on conflict do nothing
    returning thread_no, op, service_no, owner, outside
  )
  insert into timer (thread_no, op, due_at)
  select m.thread_no, m.op, clock() + u.delay_ms * interval '1 ms'
  from made m join unnest(p_thread_no, p_op, p_delay_ms) u (thread_no, op, delay_ms) using (thread_no, op)
  where m.service_no = 0 and m.owner is null and not m.outside;
  for i in 1 .. cardinality(p_op) loop
    if p_limits[i] is not null then
      update activity_task a set expires_at = task_expiry(a) where a.thread_no = p_thread_no[i] and a.op = p_op[i];
    end if;
  end loop;
  v_answer := (
    select coalesce(json_agg(json_build_array(u.thread_no, u.op)), '[]')::text
    from unnest(p_thread_no, p_op) u (thread_no, op)
    left join lateral (
      select x.op from activity_task x where x.thread_no = u.thread_no and x.op = u.op offset 0) a on true
    where a.op is null and not exists (select from inbox i where i.thread_no = u.thread_no and i.op = u.op));
  perform answer_requests(array[p_request_no], array[v_answer]);
  return v_answer;
end $$;
