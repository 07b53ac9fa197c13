-- Follows a path as far as it goes: how many of its keys exist (`depth`), and what stands there. A key of an array is an index, written
-- as a whole number without sign. Postgres' own #> would take "-1" and " 1" for indexes, too.
create or replace function find_in_document(p_doc jsonb, p_path text[], out depth int, out node jsonb)
language plpgsql immutable as $$
declare
  v_next jsonb;
begin
  depth := 0;
  node := p_doc;
  for i in 1 .. cardinality(p_path) loop
    v_next := case jsonb_typeof(node)
      when 'object' then node -> p_path[i]
      when 'array' then case when p_path[i] ~ '^(0|[1-9][0-9]{0,8})$' then node -> p_path[i]::int end
    end;
    exit when v_next is null;
    node := v_next;
    depth := i;
  end loop;
end $$;
