-- One call of an entity session on a run's document. `refused` says why not: object, index (see put_in_document), array,
-- number, boolean (the path leads to something else), range (the number is too large or too long), size (the document is); `at`
-- says where. Its arguments, by method, with paths as arrays of keys:
--   set [document]   merge [document]   get [path]   delete [path]   increment [path, by]   toggle [path]
--   setIfNotExists [path, value]   remove [path, index]   append, prepend [[[path, items], ...], answer the whole document?]
create or replace function entity_call(p_doc jsonb, p_method text, p_args jsonb, out doc jsonb, out value jsonb, out refused text, out at text[])
language plpgsql immutable as $$
declare
  v_path text[] := case
    when p_method in ('get', 'delete', 'increment', 'toggle', 'setIfNotExists', 'remove')
    then array(select k.key from jsonb_array_elements_text(p_args -> 0) with ordinality k (key, n) order by k.n) end;
  v_there record;
  v_put record;
  v_pair jsonb;
  v_new jsonb;
  v_number numeric;
begin
  doc := coalesce(p_doc, '{}');
  select doc, null::text as refused, null::text[] as at into v_put;
  if v_path is not null then
    select f.* into v_there from find_in_document(doc, v_path) f;
    if v_there.depth < cardinality(v_path) then
      v_there.node := null;
    end if;
  end if;
  case p_method
    when 'get' then
      value := v_there.node;
      doc := p_doc;                                  -- reading makes nothing
      return;
    when 'set' then
      doc := p_args -> 0;
    when 'merge' then
      doc := merge_documents(doc, p_args -> 0);
    when 'delete' then
      if v_there.node is not null then
        doc := doc #- v_path;
      end if;
    when 'append', 'prepend' then
      for v_pair in select p.pair from jsonb_array_elements(p_args -> 0) with ordinality p (pair, n) order by p.n loop
        v_path := array(select k.key from jsonb_array_elements_text(v_pair -> 0) with ordinality k (key, n) order by k.n);
        select f.* into v_there from find_in_document(doc, v_path) f;
        v_new := case when v_there.depth < cardinality(v_path) or v_there.node = 'null' then '[]' else v_there.node end;
        if jsonb_typeof(v_new) <> 'array' then
          refused := 'array';
          at := v_path;
          return;
        end if;
        v_new := case p_method when 'append' then v_new || (v_pair -> 1) else (v_pair -> 1) || v_new end;
        select p.* into v_put from put_in_document(doc, v_path, v_new) p;
        exit when v_put.refused is not null;
        doc := v_put.doc;
      end loop;
    when 'remove' then
      v_new := case when v_there.node = 'null' then '[]' else coalesce(v_there.node, '[]') end;
      if jsonb_typeof(v_new) <> 'array' then
        refused := 'array';
      elsif (p_args ->> 1)::numeric >= jsonb_array_length(v_new) then
        refused := 'index';
      end if;
      at := v_path;
      v_new := v_new - case when refused is null then (p_args ->> 1)::int end;
    when 'increment' then
      if coalesce(jsonb_typeof(v_there.node), 'null') not in ('number', 'null') then
        refused := 'number';
      else
        v_number := exact_number(coalesce((v_there.node #>> '{}')::numeric, 0) + (p_args ->> 1)::numeric);
        refused := case when v_number is null then 'range' end;
      end if;
      at := v_path;
      v_new := to_jsonb(v_number);
    when 'toggle' then
      if coalesce(jsonb_typeof(v_there.node), 'null') not in ('boolean', 'null') then
        refused := 'boolean';
      end if;
      at := v_path;
      v_new := to_jsonb(v_there.node is distinct from 'true');
    else -- setIfNotExists
      v_new := coalesce(v_there.node, p_args -> 1);
  end case;
  if refused is not null then
    return;
  end if;
  if p_method in ('remove', 'increment', 'toggle', 'setIfNotExists') then
    select p.* into v_put from put_in_document(doc, v_path, v_new) p;
    doc := v_put.doc;
  end if;
  if v_put.refused is not null then
    refused := v_put.refused;
    at := v_put.at;
  elsif pg_column_size(doc) > 8388608 then
    refused := 'size';
  else
    value := case
      when p_method in ('merge', 'delete') or (p_args -> 1) = 'true' and p_method in ('append', 'prepend') then doc
      else v_new
    end;
  end if;
end $$;
