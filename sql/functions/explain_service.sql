-- Why nobody takes what a service offers: null when a live worker serves it (and is not among p_excluded, whose code cannot
-- run it), else the reason, with the workers that were seen.
create or replace function explain_service(p_service_no int, p_excluded int[] default null) returns jsonb
language plpgsql stable as $$
declare
  v_service service;
  v_workers jsonb;
  v_alive int;
  v_last record;
begin
  if exists (
    select from worker w
    where w.released_at is null and w.died_at is null and w.lease_until > clock() and p_service_no = any(w.services)
      and not w.worker_no = any(coalesce(p_excluded, '{}'))) then
    return null;
  end if;
  select s.* into v_service from service s where s.service_no = p_service_no;
  v_workers := seen_workers();
  v_alive := (select count(*) from jsonb_array_elements(v_workers) w where (w ->> 'alive')::boolean);
  select w.worker_no, coalesce(w.died_at, w.lease_until) as until into v_last from worker w
  where p_service_no = any(w.services) order by w.lease_until desc limit 1;
  return jsonb_build_object(
    'reason', 'no-worker',
    'message', format('no live worker serves %s queue "%s"%s%s',
      case v_service.kind when 'workflow' then format('workflow "%s" on', v_service.name) else 'the activities of' end,
      v_service.task_queue,
      coalesce('; the last one that did, ' || worker_in_words(v_last.worker_no) || ', was there until '
        || span_in_words(clock() - v_last.until) || ' ago', ''),
      case v_alive
        when 0 then '; no worker is alive'
        else format('; %s', (
          select string_agg(format('%s serves %s', worker_in_words((w ->> 'worker')::int), coalesce((
            select string_agg(format('%s"%s"', case s.kind when 'workflow' then format('workflow "%s" on ', s.name) else 'activities of ' end,
              s.task_queue), ', ' order by s.kind desc, s.task_queue, s.name)
            from service s, worker x where x.worker_no = (w ->> 'worker')::int and s.service_no = any(x.services)), 'nothing')), '; ')
          from jsonb_array_elements(v_workers) with ordinality l (w, n) where (w ->> 'alive')::boolean and n <= 5)) end),
    'details', jsonb_build_object('taskQueue', v_service.task_queue, 'workers', v_workers)
      || case when v_service.kind = 'workflow' then jsonb_build_object('workflowName', v_service.name) else '{}' end);
end $$;
