-- Makes parked threads claimable and says who should look: 'q<service>' for a thread that became ready, 'w<worker>' for
-- the owner of one that runs. The caller holds the locks of the threads and has put something into their inbox.
create or replace function wake(p_threads bigint[]) returns text[]
language plpgsql as $$
-- plans: index only
declare
  v_ready text[];
  v_owned text[];
begin
  with woken as (
    update thread set state = 'ready', ready_at = clock(), blocked_on = null
    where thread_no = any(p_threads)
      and (state = 'parked' or state = 'ready' and ready_at > clock())   -- startDelay: mail does not wait for it
    returning service_no
  )
  select array_agg(distinct 'q' || service_no) into v_ready from woken;
  select array_agg(distinct 'w' || t.owner) into v_owned
  from thread t where t.thread_no = any(p_threads) and t.state = 'owned';
  return coalesce(v_ready, '{}') || coalesce(v_owned, '{}');
end $$;
