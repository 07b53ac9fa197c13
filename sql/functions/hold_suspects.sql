-- Keeps threads that workers died with twice or more from being claimed: from now on they are tried, one at a time
-- (try_suspect). The caller holds the threads and has released them.
create or replace function hold_suspects(p_threads bigint[]) returns void
language plpgsql as $$
-- plans: index only
begin
  update suspect s set state = 'waiting'
  from unnest(p_threads) u (thread_no)
  where s.thread_no = u.thread_no and s.deaths >= 2 and s.state = 'counted'
    and exists (select from thread t where t.thread_no = u.thread_no and t.state = 'ready');
  update thread t set state = 'blocked', ready_at = null,
    blocked_reason = format('%s workers died with it in a row; it is tried again apart from others', s.deaths)
  from suspect s
  where t.thread_no = any(p_threads) and t.state = 'ready' and s.thread_no = t.thread_no and s.state = 'waiting';
end $$;
