-- Removes what closed threads leave behind. Signals they received but did not consume go back into the buffer, in their
-- old place: those for the namespace always, those for the chain when that goes on (p_lasting). Answers whether there were any.
create or replace function clear_threads(p_threads bigint[], p_lasting bigint[]) returns boolean
language plpgsql as $$
-- plans: index only
declare
  v_gone text[];
  v_returned boolean;
begin
  delete from timer where thread_no = any(p_threads);
  delete from activity_task where thread_no = any(p_threads);
  with gone as (delete from wait where thread_no = any(p_threads) returning signal_id)
  select array_agg(signal_id) into v_gone from gone;
  with gone as (
    delete from inbox where thread_no = any(p_threads) returning *
  )
  insert into signal (signal_no, signal_id, chain_no, payload, expires_at, returned) overriding system value
  select g.signal_no, g.signal_id, g.chain_no, g.payload, g.expires_at, true
  from gone g
  where g.kind = 'signal' and (g.chain_no is null or g.thread_no = any(p_lasting))
  order by g.signal_no;
  v_returned := found;
  if v_gone is not null then
    perform forget_rendezvous(v_gone);
  end if;
  return v_returned;
end $$;
