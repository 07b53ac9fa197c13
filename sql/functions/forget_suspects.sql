-- Forgets suspects that got on: their history has grown, they wait for something, or have ended.
-- Locks: threads (held ones skipped), then suspects.
create or replace function forget_suspects() returns void
language plpgsql as $$
-- plans: index only
declare
  v_suspects bigint[] := array(select s.thread_no from suspect s order by s.thread_no limit 5000);
  v_locked bigint[];
begin
  if v_suspects = '{}' then
    return;
  end if;
  v_locked := array(
    select t.thread_no from thread t where t.thread_no = any(v_suspects) order by t.thread_no for no key update skip locked);
  -- pause: locked
  delete from suspect s
  where s.thread_no = any(v_locked) and exists (
    select from thread t
    where t.thread_no = s.thread_no and (t.state = 'done' or s.state in ('counted', 'tried') and (t.state = 'parked'
      or s.last_seq is distinct from (select h.seq from history h where h.thread_no = t.thread_no order by h.seq desc limit 1))));
  delete from suspect s                              -- of runs that were pruned
  where s.thread_no = any(v_suspects) and not exists (select from thread t where t.thread_no = s.thread_no);
end $$;
