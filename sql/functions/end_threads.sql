-- Writes the closing entry of threads that are ended from outside (terminate; the main thread's end for its hooks).
-- Their owners may be committing this moment, without the thread's lock: whoever writes the next entry first wins, and
-- the loser is fenced; when we lose, we write behind it.
create or replace function end_threads(p_threads bigint[]) returns void
language plpgsql as $$
-- plans: index only
declare
  v_left bigint[] := array(select t.thread_no from thread t where t.thread_no = any(p_threads));
  v_done bigint[];
begin
  while v_left <> '{}' loop
    with made as (
      insert into history (thread_no, commit_no, previous_commit_no, at, seq, worker_no, epoch, closes, body)
      select t.thread_no, (random() * 281474976710655)::bigint, h.commit_no, clock(), coalesce(h.seq + 1, 0), 0, t.epoch, true,
        '{"ended":true}'
      from thread t
      left join lateral (
        select x.commit_no, x.seq from history x where x.thread_no = t.thread_no order by x.seq desc limit 1) h on true
      where t.thread_no = any(v_left)
      order by t.thread_no
      on conflict (thread_no, seq) do nothing
      returning thread_no
    )
    select coalesce(array_agg(thread_no), '{}') into v_done from made;
    v_left := array(select u from unnest(v_left) u where not u = any(v_done));
  end loop;
end $$;
