-- Kept signals that a waiter may have been meant by: of similar name, or of its very name but sent to another workflow.
-- Looked for among those that begin like it and the newest 1,000. Similar are names that share half of their pairs of
-- letters, letter case and punctuation aside.
create or replace function similar_signals(p_signal_id text, p_chain_no bigint) returns jsonb
language sql stable as $$
  with looked_at as materialized (
    (select s.* from signal s where s.signal_id ^@ left(p_signal_id, 3) order by s.signal_id, s.signal_no limit 1000)
    union (select s.* from signal s order by s.signal_no desc limit 1000)
  ), named as (
    select l.signal_id, l.chain_no, count(*) as n, max(l.expires_at) as expires_at,
      lower(regexp_replace(left(l.signal_id, 64), '[^[:alnum:]]', '', 'g')) as a,
      lower(regexp_replace(left(p_signal_id, 64), '[^[:alnum:]]', '', 'g')) as b
    from looked_at l where l.expires_at > clock()
    group by 1, 2
  ), measured as (
    select n.*, x.both * 2.0 / nullif(length(n.a) + length(n.b) - 2, 0) as alike
    from named n
    cross join lateral (
      select count(*) as both from (
        select substr(n.a, i, 2) from generate_series(1, length(n.a) - 1) i
        intersect all select substr(n.b, i, 2) from generate_series(1, length(n.b) - 1) i) p
    ) x
  )
  select coalesce(jsonb_agg(jsonb_build_object(
      'signalId', m.signal_id, 'count', m.n,
      'sentTo', case when m.chain_no is null then 'anyone' when m.chain_no = p_chain_no then 'this workflow' else 'another workflow' end)
    order by m.alike desc nulls last, m.n desc), '[]')
  from (
    select * from measured where a = b or alike >= 0.5
    order by alike desc nulls last limit 10) m
$$;
