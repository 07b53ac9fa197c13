-- Locks the meeting places of signal ids: shared for waiters (two waiters do not wait for each other), alone for
-- senders. Rows that are missing are made; one deleted under our feet is made again.
-- Locks: rendezvous rows, sorted.
create or replace function lock_rendezvous(p_signal_ids text[], p_alone boolean) returns void
language plpgsql as $$
-- plans: index only
declare
  v_ids text[] := array(select distinct u collate "C" from unnest(p_signal_ids) u order by 1);
  v_held int;
begin
  loop
    insert into rendezvous (signal_id)
    select u from unnest(v_ids) u where not exists (select from rendezvous r where r.signal_id = u)
    order by u
    on conflict do nothing;
    if p_alone then
      select count(*) into v_held from (
        select from rendezvous r where r.signal_id = any(v_ids) order by r.signal_id for update) x;
    else
      select count(*) into v_held from (
        select from rendezvous r where r.signal_id = any(v_ids) order by r.signal_id for share) x;
    end if;
    exit when v_held = cardinality(v_ids);
  end loop;
end $$;
