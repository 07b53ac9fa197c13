-- A page of what lies in the inbox of a thread that this worker owns, behind p_after, but for what it knows; at most about 8 MiB.
-- For a pile that did not go along with the claim. Nothing where the worker does not own the thread.
create or replace function rest_of_mail(p_worker_no int, p_thread_no bigint, p_after bigint, p_known bigint[])
returns table (thread_no bigint, inbox_no bigint, kind text, op int, payload text)
language plpgsql stable as $$
-- plans: index only
#variable_conflict use_column
begin
  if not is_own_worker(p_worker_no) or not exists (
    select from thread t where t.thread_no = p_thread_no and coalesce(t.owner, 0) = p_worker_no) then
    return;
  end if;
  return query
  select m.thread_no, m.inbox_no, m.kind, m.op, m.payload
  from (
    select i.*, sum(coalesce(length(i.payload), 0)) over (order by i.inbox_no) as bytes,
      row_number() over (order by i.inbox_no) as n
    from inbox i
    where i.thread_no = p_thread_no and i.inbox_no > p_after and not i.inbox_no = any(p_known)
    order by i.inbox_no limit 5000
  ) m
  where m.bytes < 8388608 or m.n = 1
  order by m.inbox_no;
end $$;
