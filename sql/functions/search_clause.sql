-- The text of a condition on a search field: see document_clause. Equality in the words of create_search_index, which indexes
-- the first 256 characters: of a value that is shorter they are all there is to compare, and saying so twice would make the
-- planner expect a two-hundredth of what is found.
create or replace function search_clause(p_field text, p_value text, p_op text, p_is jsonb) returns text
language plpgsql immutable as $$
declare
  v_text text := format('(d.search ->> %s)', p_field);
begin
  return case
    when p_op = 'eq' and jsonb_typeof(p_is) = 'string' then
      format('left(%1$s, 256) = left(%2$s #>> ''{}'', 256)', v_text, p_value)
      || case when length(p_is #>> '{}') < 256 then '' else format(' and %1$s = %2$s #>> ''{}''', v_text, p_value) end
    when p_op = 'in' and not p_is @> '[null]' then
      format('left(%1$s, 256) = any (array(select left(x, 256) from jsonb_array_elements_text(%2$s) x))', v_text, p_value)
      || format(' and %1$s = any (array(select jsonb_array_elements_text(%2$s)))', v_text, p_value)
    else document_clause(format('(d.search -> %s)', p_field), p_value, p_op, p_is)
  end;
end $$;
