-- The threads that signals would reach now: for each signal id (and chain, when targeted) as many of the
-- longest waiters as the id has signals here. Callers lock them before deliver_signals.
create or replace function waiters_of(p_signal_id text[], p_chain_no bigint[]) returns bigint[]
language plpgsql stable as $$                   -- plpgsql keeps its plans; sql plans at every call
-- plans: index only
begin
  return (select coalesce(array_agg(distinct w.thread_no), '{}')
  from (
    select distinct u.signal_id, u.chain_no
    from unnest(p_signal_id, p_chain_no) u (signal_id, chain_no)
  ) s
  cross join lateral (
    select w.thread_no from wait w
    where w.signal_id = s.signal_id and (s.chain_no is null or w.chain_no = s.chain_no)
    order by w.wait_no
    limit (select count(*) from unnest(p_signal_id) o where o = s.signal_id)
  ) w);
end $$;
