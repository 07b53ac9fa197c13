-- Puts a value at a path. What is missing or null on the way becomes an object; an array takes one more item at its end.
-- `refused` says why not: object (something else is in the way), index (the array has no such place); `at` says where.
create or replace function put_in_document(p_doc jsonb, p_path text[], p_value jsonb, out doc jsonb, out refused text, out at text[])
language plpgsql immutable as $$
declare
  v_depth int := cardinality(p_path);
  v_way record;
  v_value jsonb := p_value;
begin
  select f.* into v_way from find_in_document(p_doc, p_path[1 : v_depth - 1]) f;
  if v_way.depth > 0 and jsonb_typeof(v_way.node) = 'null' then
    v_way.depth := v_way.depth - 1;                  -- the null itself is replaced
  elsif jsonb_typeof(v_way.node) = 'array' then
    if p_path[v_way.depth + 1] !~ '^(0|[1-9][0-9]{0,8})$' or p_path[v_way.depth + 1]::int > jsonb_array_length(v_way.node) then
      refused := 'index';
      at := p_path[1 : v_way.depth + 1];
      return;
    end if;
  elsif jsonb_typeof(v_way.node) <> 'object' then
    refused := 'object';
    at := p_path[1 : v_way.depth];
    return;
  end if;
  for i in reverse v_depth .. v_way.depth + 2 loop
    v_value := jsonb_build_object(p_path[i], v_value);
  end loop;
  doc := jsonb_set(p_doc, p_path[1 : v_way.depth + 1], v_value);
end $$;
