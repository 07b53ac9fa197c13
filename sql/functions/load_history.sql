-- A page of a thread's history from p_from_seq on, at most about 8 MiB and 2,000 entries at a time.
create or replace function load_history(p_thread_no bigint, p_from_seq int)
returns table (seq int, commit_no bigint, at_ms double precision, body text, outcome text, closes boolean)
language plpgsql stable as $$
-- plans: index only
#variable_conflict use_column
begin
  return query
  select p.seq, p.commit_no, extract(epoch from p.at)::double precision * 1000, p.body, p.outcome, p.closes
  from (
    select h.*, sum(length(h.body) + coalesce(length(h.outcome), 0)) over (order by h.seq) as bytes
    from (
      select x.* from history x
      where x.thread_no = p_thread_no and x.seq >= p_from_seq
      order by x.seq limit 2000
    ) h
  ) p
  where p.bytes < 8388608 or p.seq = p_from_seq
  order by p.seq;
end $$;
