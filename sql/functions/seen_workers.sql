-- The workers of the last day, live ones first, at most 20: what each serves and when it was last heard of.
create or replace function seen_workers() returns jsonb
language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object(
      'worker', w.worker_no, 'description', w.description, 'alive', w.alive,
      'leaseEndsAt', moment_in_utc(w.lease_until),
      'taskQueues', (select coalesce(jsonb_agg(distinct s.task_queue), '[]') from service s where s.service_no = any(w.services)),
      'workflows', (
        select coalesce(jsonb_agg(distinct s.name), '[]') from service s where s.service_no = any(w.services) and s.kind = 'workflow'),
      'servesActivities', exists (select from service s where s.service_no = any(w.services) and s.kind = 'activity'))
    order by w.alive desc, w.worker_no desc), '[]')
  from (
    select x.*, x.died_at is null and x.released_at is null and x.lease_until > clock() as alive from worker x
    order by alive desc, x.worker_no desc limit 20
  ) w
$$;
