-- The threads of a call that the worker owns, or left with its last call; in the place of any other a number that no thread has.
-- So a scoped role that holds a transaction open holds locks on its own threads only.
create or replace function own_threads(p_worker_no int, p_thread_no bigint[]) returns bigint[]
language plpgsql stable as $$
-- plans: index only
begin
  return array(
    select case when coalesce(t.owner, t.affinity) = p_worker_no then u.thread_no else -u.n end
    from unnest(p_thread_no) with ordinality u (thread_no, n)
    left join lateral (select x.owner, x.affinity from thread x where x.thread_no = u.thread_no offset 0) t on true
    order by u.n);
end $$;
