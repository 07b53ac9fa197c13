-- Deletes histories of pruned runs, at most p_most entries, from their ends backwards: what is left has no gap, and whoever
-- reads it page by page misses the closing entry.
-- Answers the threads of which something is left. The caller has just deleted these threads, or holds the note of them.
create or replace function delete_history(p_threads bigint[], p_most int) returns bigint[]
language plpgsql as $$
-- plans: index only
declare
  v_rows tid[];
begin
  v_rows := array(
    select h.id from unnest(p_threads) t (thread_no)
    cross join lateral (
      select x.ctid as id from history x where x.thread_no = t.thread_no order by x.seq desc) h
    limit p_most);
  delete from history h where h.ctid = any(v_rows);
  if cardinality(v_rows) < p_most then
    return '{}';
  end if;
  return array(select t from unnest(p_threads) t where exists (select from history h where h.thread_no = t));
end $$;
