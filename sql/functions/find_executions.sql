-- The run numbers of the executions that a filter selects (see execution_clause), newest start first, a page at a time:
-- those below p_after, the last number of the page before (null: from the newest). What is started meanwhile is on no later
-- page, and nothing is on two. Takes no locks: whoever acts on a run looks again, under its lock.
create or replace function find_executions(p_filter jsonb, p_after bigint, p_limit int) returns table (run_no bigint)
language plpgsql stable as $$
begin
  return query execute format('
    select e.run_no from execution e left join document d on d.run_no = e.run_no
    where %s and e.run_no < $4
    order by e.run_no desc limit $5', execution_clause(p_filter))
  using p_filter, filtered_services(p_filter), filtered_states(p_filter), coalesce(p_after, 9223372036854775807), p_limit;
end $$;
