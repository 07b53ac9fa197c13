-- load_history, for the worker that owns the thread. Nothing where it does not.
create or replace function load_own_history(p_worker_no int, p_thread_no bigint, p_from_seq int)
returns table (seq int, commit_no bigint, at_ms double precision, body text, outcome text, closes boolean)
language plpgsql stable as $$
-- plans: index only
begin
  if is_own_worker(p_worker_no) and exists (
    select from thread t where t.thread_no = p_thread_no and coalesce(t.owner, 0) = p_worker_no) then
    return query select h.* from load_history(p_thread_no, p_from_seq) h;
  end if;
end $$;
