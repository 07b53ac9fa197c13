-- What was delivered to threads this worker owns and what it has not seen yet (p_known), at most about 8 MiB at a time.
create or replace function mail(p_worker_no int, p_known bigint[])
returns table (thread_no bigint, inbox_no bigint, kind text, op int, payload text)
language plpgsql stable as $$
-- plans: index only
#variable_conflict use_column
begin
  return query
  select m.thread_no, m.inbox_no, m.kind, m.op, m.payload
  from (
    select i.*, sum(coalesce(length(i.payload), 0)) over (order by i.inbox_no) as bytes,
      row_number() over (order by i.inbox_no) as n
    from inbox i
    cross join lateral (select x.owner from thread x where x.thread_no = i.thread_no offset 0) t
    where i.worker_no = p_worker_no and t.owner = p_worker_no and is_own_worker(p_worker_no) and not i.inbox_no = any(p_known)
    order by i.inbox_no limit 5000
  ) m
  where m.bytes < 8388608 or m.n = 1
  order by m.inbox_no;
end $$;
