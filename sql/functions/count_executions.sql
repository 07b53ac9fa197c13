-- How many executions a filter selects: see execution_clause.
create or replace function count_executions(p_filter jsonb) returns bigint
language plpgsql stable as $$
declare
  v_count bigint;
begin
  execute format('
    select count(*) from execution e left join document d on d.run_no = e.run_no where %s', execution_clause(p_filter))
  into v_count using p_filter, filtered_services(p_filter), filtered_states(p_filter);
  return v_count;
end $$;
