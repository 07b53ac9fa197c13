-- Workflows started with an entity, newest first, each by its newest run: those whose document fulfils all conditions. A
-- condition is a top-level field, an operator (eq ne gt gte lt lte like in) and a JSON value.
-- The statement is put together from the texts below and the positions of the parameters, so that the planner sees constants
-- in their place: only then can it use the indexes of create_entity_index, whose expressions name a field. Nothing of a
-- condition becomes part of its text.
create or replace function find_entities(
  p_entity text, p_workflow_id text, p_field text[], p_op text[], p_value text[], p_limit int, p_offset int
) returns table (workflow_id text, state text, context text)
language plpgsql stable as $$
declare
  v_where text := '';
  v_field text;
  v_value jsonb;
  v_is text;
  v_same text[] := '{}';
  v_number numeric[] := '{}';
begin
  for i in 1 .. cardinality(p_field) loop
    v_field := format('(d.entity -> $3[%s])', i);
    v_value := p_value[i]::jsonb;
    -- what has the same text: '5' is 5, but '05' is not
    v_same := v_same || case
      when jsonb_typeof(v_value) <> 'string' then to_jsonb(v_value #>> '{}')::text
      when (v_value #>> '{}') ~ '^(true|false|-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?)$' then v_value #>> '{}'
      else p_value[i]
    end;
    v_number := v_number || case when jsonb_typeof(v_value) = 'number' then (v_value #>> '{}')::numeric end;
    v_is := case
      when jsonb_typeof(v_value) = 'null' then format('coalesce(%s, ''null'') = ''null''', v_field)
      -- containment, which an index knows; an array contains its items, but is no scalar
      else format('((%1$s @> $4[%2$s]::jsonb or %1$s @> $5[%2$s]::jsonb) and jsonb_typeof(%1$s) <> ''array'')', v_field, i)
    end;
    v_where := v_where || ' and ' || case p_op[i]
      when 'eq' then v_is
      when 'ne' then format('coalesce(%1$s, ''null'') <> ''null'' and not %2$s', v_field,
        case when jsonb_typeof(v_value) = 'null' then 'false' else v_is end)
      when 'like' then format('jsonb_typeof(%1$s) not in (''object'', ''array'') and (%1$s #>> ''{}'') like ($4[%2$s]::jsonb #>> ''{}'')', v_field, i)
      when 'in' then format(
        '(jsonb_typeof(%1$s) not in (''object'', ''array'') and (%1$s #>> ''{}'') = any (array(select jsonb_array_elements_text($4[%2$s]::jsonb)))
          or coalesce(%1$s, ''null'') = ''null'' and $4[%2$s]::jsonb @> ''[null]'')', v_field, i)
      else format(
        case when jsonb_typeof(v_value) = 'number' then 'read_number(%1$s #>> ''{}'') %2$s $6[%3$s]'
        else 'jsonb_typeof(%1$s) = ''string'' and (%1$s #>> ''{}'') collate "C" %2$s ($4[%3$s]::jsonb #>> ''{}'')' end,
        v_field, case p_op[i] when 'gt' then '>' when 'gte' then '>=' when 'lt' then '<' when 'lte' then '<=' end, i)
    end;
  end loop;
  return query execute format('
    select e.workflow_id, e.state, coalesce(d.entity, ''{}'')::text
    from execution e left join document d on d.run_no = e.run_no
    where e.entity = $1 and ($2 is null or e.workflow_id = $2) and e.state <> ''continued''%s
    order by e.run_no desc limit $7 offset $8', v_where)
  using p_entity, p_workflow_id, p_field, p_value, v_same, v_number, p_limit, p_offset;
end $$;
