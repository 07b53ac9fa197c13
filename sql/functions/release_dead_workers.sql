-- Gives back what dead workers own. A thread held by someone's open transaction is left for the next look.
-- What has its workers die one after the other is told from its neighbours, see count_deaths: workers that retired are no deaths.
-- Locks: dead workers, then their threads and the threads of their tasks (sorted, held ones skipped), then suspects.
create or replace function release_dead_workers() returns text[]
language plpgsql as $$
-- plans: index only
declare
  v_dead int[];
  v_threads bigint[];
  v_hints text[];
  v_more text[];
  v_crashed int[];
  v_trying int[] := '{}';        -- of those: a suspect is to blame, not what ran beside it
begin
  v_dead := array(
    select worker_no from worker where released_at is null and died_at is not null
    order by worker_no for update skip locked);
  if v_dead = '{}' then
    return '{}';
  end if;
  v_threads := array(
    select t.thread_no from thread t
    where t.thread_no in (
      select o.thread_no from thread o where o.owner = any(v_dead)
      union select a.thread_no from activity_task a where a.owner = any(v_dead))
    order by t.thread_no for no key update skip locked);
  -- pause: locked
  v_crashed := array(select w.worker_no from worker w where w.worker_no = any(v_dead) and not w.retired);
  if v_crashed <> '{}' then
    v_trying := trying(v_crashed);
    perform count_deaths(v_crashed, v_threads);
  end if;
  with released as (
    update thread set
      state = case when paused then 'paused' else 'ready' end, ready_at = case when not paused then clock() end,
      owner = null, claim_no = null, affinity = null
    where thread_no = any(v_threads) and owner = any(v_dead) and state = 'owned'
    returning service_no, paused
  )
  select array_agg(distinct 'q' || service_no) into v_hints from released where not paused;
  with released as (
    update activity_task set owner = null, claim_no = null, losses = losses + case
        when owner = any(v_trying) and not exists (
          select from suspect s where s.thread_no = activity_task.thread_no and s.tried_by = owner) then 0 else 1 end,
      ready_at = case when service_no <> 0 then clock() end  -- a bound one goes with its thread
    where thread_no = any(v_threads) and owner = any(v_dead)
    returning service_no
  )
  select array_agg(distinct 'q' || service_no) into v_more from released where service_no <> 0;
  update activity_task a set expires_at = task_expiry(a)
  where a.thread_no = any(v_threads) and a.limits is not null and a.owner is null;
  if v_crashed <> '{}' then
    perform hold_suspects(v_threads);
  end if;
  update worker w set released_at = clock()
  where w.worker_no = any(v_dead)
    and not exists (select from thread t where t.owner = w.worker_no)
    and not exists (select from activity_task a where a.owner = w.worker_no);
  return coalesce(v_hints, '{}') || coalesce(v_more, '{}');
end $$;
