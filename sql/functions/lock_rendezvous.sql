-- Locks the meeting places of signal ids: shared for waiters (two waiters do not wait for each other), alone for
-- senders. Rows that are missing are made. When one is deleted under our feet the whole call starts over (40001): making
-- it again while holding others would break the order.
-- Locks: rendezvous rows, sorted. Raises 40001.
create or replace function lock_rendezvous(p_signal_ids text[], p_alone boolean) returns void
language plpgsql as $$
-- plans: index only
declare
  v_ids text[] := array(select distinct u collate "C" from unnest(p_signal_ids) u order by 1);
  v_held int;
begin
  insert into rendezvous (signal_id)
  select u from unnest(v_ids) u where not exists (select from rendezvous r where r.signal_id = u)
  order by u collate "C"
  on conflict do nothing;
  -- pause: made
  if p_alone then
    select count(*) into v_held from (
      select from rendezvous r where r.signal_id = any(v_ids) order by r.signal_id for update) x;
  else
    select count(*) into v_held from (
      select from rendezvous r where r.signal_id = any(v_ids) order by r.signal_id for share) x;
  end if;
  if v_held < cardinality(v_ids) then
    raise exception 'a meeting place was deleted meanwhile' using errcode = '40001';
  end if;
end $$;
