-- A page of each of several histories: of each thread at most p_entries entries from its p_from_seqs on, and about p_bytes.
create or replace function read_histories(p_threads bigint[], p_from_seqs int[], p_entries int, p_bytes int)
returns table (thread_no bigint, seq int, at_ms double precision, body text, outcome text, closes boolean)
language plpgsql stable as $$
-- plans: index only
#variable_conflict use_column
begin
  return query
  select u.thread_no, p.seq, extract(epoch from p.at)::double precision * 1000, p.body, p.outcome, p.closes
  from unnest(p_threads, p_from_seqs) with ordinality u (thread_no, from_seq, n)
  cross join lateral (
    select h.*, sum(length(h.body) + coalesce(length(h.outcome), 0)) over (order by h.seq) as bytes
    from (
      select x.* from history x
      where x.thread_no = u.thread_no and x.seq >= u.from_seq
      order by x.seq limit p_entries
    ) h
  ) p
  where p.bytes < p_bytes or p.seq = u.from_seq
  order by u.n, p.seq;
end $$;
