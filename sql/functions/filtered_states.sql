-- The states that a filter of executions names: $3 of execution_clause.
create or replace function filtered_states(p_filter jsonb) returns text[]
language sql immutable as $$
  select array(select jsonb_array_elements_text(p_filter -> 'status'))
$$;
