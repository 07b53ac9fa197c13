-- Keeps the events of 'emit' effects, in the order of the effects, behind all that were kept before.
-- The counter stays locked until the commit, so positions become visible in their order and a subscriber needs nothing
-- but the last one it has seen. (Numbers of a sequence become visible in any order: a subscriber would pass over one
-- whose commit takes longer.) Nothing is waited for behind this lock and no caller's transaction ever holds it, so a
-- queue before it always moves: it is waited for longer than for a row.
-- Kept as long as the run is readable once finished, at least ten minutes, from this moment on.
-- Locks: the counter, the last lock of a commit. Answers hints.
create or replace function keep_emissions(
  p_thread_no bigint[], e_item int[], e_kind text[], e_key text[], e_value text[]
) returns text[]
language plpgsql as $$
-- plans: index only
declare
  v_count int := (select count(*) from unnest(e_kind) k where k = 'emit');
  v_last bigint;
  v_now timestamptz;
begin
  if v_count = 0 then
    return '{}';
  end if;
  perform set_config('lock_timeout', '5000', true);
  update emission_counter set last = last + v_count returning last into v_last;
  -- pause: numbered
  v_now := clock();
  insert into emission (emission_no, chain_no, run_no, emitted_at, expires_at, topic, payload)
  select v_last - v_count + row_number() over (order by u.n), e.chain_no, e.run_no, v_now,
    case when e.expire_s is distinct from 0 then v_now + greatest(coalesce(e.expire_s, 604800), 600) * interval '1 s' end,
    u.k, u.v
  from unnest(e_item, e_kind, e_key, e_value) with ordinality u (item, kind, k, v, n)
  cross join lateral (select x.run_no from thread x where x.thread_no = p_thread_no[u.item] offset 0) t
  cross join lateral (select x.chain_no, x.run_no, x.expire_s from execution x where x.run_no = t.run_no offset 0) e
  where u.kind = 'emit';
  return '{m}';
end $$;
