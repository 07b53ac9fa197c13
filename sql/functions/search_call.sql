-- One call of a search session on a run's fields, which are text. `refused` says why not: number (the field holds no number),
-- range (the result is too large or too long), size (the fields together are). Its arguments, by method:
--   set [{field: text, ...}]   get [field]   mget [field, ...]   del [field, ...]   incr [field, by]   mult [field, by]
create or replace function search_call(p_doc jsonb, p_method text, p_args jsonb, out doc jsonb, out value jsonb, out refused text, out at text[])
language plpgsql immutable as $$
declare
  v_field text := case when p_method in ('get', 'incr', 'mult') then p_args ->> 0 end;
  v_number numeric;
begin
  doc := case when p_method in ('get', 'mget') then p_doc else coalesce(p_doc, '{}') end;
  case p_method
    when 'get' then
      value := to_jsonb(coalesce(p_doc ->> v_field, ''));
    when 'mget' then
      value := (select jsonb_agg(coalesce(p_doc ->> f.name, '') order by f.n) from jsonb_array_elements_text(p_args) with ordinality f (name, n));
    when 'set' then
      doc := doc || (p_args -> 0);
    when 'del' then
      value := (select to_jsonb(count(distinct f.name)) from jsonb_array_elements_text(p_args) f (name) where p_doc ? f.name);
      doc := p_doc - array(select f.name from jsonb_array_elements_text(p_args) f (name));
    else -- incr, mult: an absent field counts as what changes nothing
      v_number := case when doc ? v_field then read_number(doc ->> v_field) when p_method = 'incr' then 0 else 1 end;
      if v_number is null then
        refused := 'number';
      else
        v_number := exact_number(case p_method when 'incr' then v_number + (p_args ->> 1)::numeric else v_number * (p_args ->> 1)::numeric end);
        if v_number is null then
          refused := 'range';
        else
          value := to_jsonb(v_number);
          doc := doc || jsonb_build_object(v_field, v_number::text);
        end if;
      end if;
      at := array[v_field];
  end case;
  if p_method in ('set', 'incr', 'mult') and refused is null and pg_column_size(doc) > 1048576 then
    refused := 'size';
  end if;
end $$;
