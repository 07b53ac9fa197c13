-- The text of a condition on a top-level field of a document, for statements that are put together. p_field and p_value are
-- expressions over parameters, like `d.entity -> $3[1]` and `$4[1]::jsonb`: the planner sees constants in their place, and
-- only then can it use indexes whose expressions name a field. p_is is the value itself and decides the form; nothing of it
-- becomes part of the text. p_op: eq ne gt gte lt lte like in.
-- Raises PD003 for other operators and without a value.
create or replace function document_clause(p_field text, p_value text, p_op text, p_is jsonb) returns text
language plpgsql immutable as $$
declare
  v_is text := case
    when jsonb_typeof(p_is) = 'null' then format('coalesce(%s, ''null'') = ''null''', p_field)
    -- containment, which an index knows; an array contains its items, but is no scalar
    else format('((%1$s @> %2$s or %1$s @> same_text(%2$s)) and jsonb_typeof(%1$s) <> ''array'')', p_field, p_value)
  end;
begin
  if p_op is null or not p_op = any ('{eq,ne,gt,gte,lt,lte,like,in}') or p_is is null then
    raise exception 'condition: must be one of eq ne gt gte lt lte like in, with a value; got %', to_json(left(p_op, 80))
      using errcode = 'PD003';
  end if;
  return case p_op
    when 'eq' then v_is
    when 'ne' then format('(coalesce(%s, ''null'') <> ''null'' and not %s)', p_field,
      case when jsonb_typeof(p_is) = 'null' then 'false' else v_is end)
    when 'like' then format(
      '(jsonb_typeof(%1$s) not in (''object'', ''array'') and (%1$s #>> ''{}'') like (%2$s #>> ''{}''))', p_field, p_value)
    when 'in' then format(
      '(jsonb_typeof(%1$s) not in (''object'', ''array'') and (%1$s #>> ''{}'') = any (array(select jsonb_array_elements_text(%2$s)))
        or coalesce(%1$s, ''null'') = ''null'' and %2$s @> ''[null]'')', p_field, p_value)
    else format(
      case when jsonb_typeof(p_is) = 'number' then 'read_number(%1$s #>> ''{}'') %2$s (%3$s #>> ''{}'')::numeric'
      else '(jsonb_typeof(%1$s) = ''string'' and (%1$s #>> ''{}'') collate "C" %2$s (%3$s #>> ''{}''))' end,
      p_field, case p_op when 'gt' then '>' when 'gte' then '>=' when 'lt' then '<' when 'lte' then '<=' end, p_value)
  end;
end $$;
