-- Workflows started with an entity, newest first, each by its newest run: those whose document fulfils all conditions. A
-- condition is a top-level field, an operator (eq ne gt gte lt lte like in) and a JSON value: see document_clause.
create or replace function find_entities(
  p_entity text, p_workflow_id text, p_field text[], p_op text[], p_value text[], p_limit int, p_offset int
) returns table (workflow_id text, state text, context text)
language plpgsql stable as $$
declare
  v_where text := '';
begin
  for i in 1 .. cardinality(p_field) loop
    v_where := v_where || ' and '
      || document_clause(format('(d.entity -> $3[%s])', i), format('$4[%s]::jsonb', i), p_op[i], p_value[i]::jsonb);
  end loop;
  return query execute format('
    select e.workflow_id, e.state, coalesce(d.entity, ''{}'')::text
    from execution e left join document d on d.run_no = e.run_no
    where e.entity = $1 and ($2 is null or e.workflow_id = $2) and e.state <> ''continued''%s
    order by e.run_no desc limit $5 offset $6', v_where)
  using p_entity, p_workflow_id, p_field, p_value, p_limit, p_offset;
end $$;
