-- A worker process as people know it.
create or replace function worker_in_words(p_worker_no int) returns text
language sql stable as $$
  select 'worker ' || p_worker_no || coalesce((select ' (' || w.description || ')' from worker w where w.worker_no = p_worker_no), '')
$$;
