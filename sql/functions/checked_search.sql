-- Search fields of a call from SQL as they are stored, checked as the client does (src/core/search-fields.ts): text by name,
-- 1 MiB together. A name in double quotes is literal, and "_name" means name. Raises PD003, PD004.
create or replace function checked_search(p_call text, p_search jsonb) returns text
language plpgsql immutable as $$
declare
  v_fields jsonb;
  v_wrong text;
begin
  if p_search is null then
    return null;
  end if;
  if jsonb_typeof(p_search) <> 'object' then
    raise exception '%: search must be an object of text, numbers or booleans by field; got %', p_call, jsonb_typeof(p_search)
      using errcode = 'PD003';
  end if;
  select f.name into v_wrong from jsonb_each(p_search) f (name, value)
  where jsonb_typeof(f.value) not in ('string', 'number', 'boolean') order by f.name limit 1;
  if found then
    raise exception '%: search.% must be text, a number or a boolean; got %', p_call, v_wrong, jsonb_typeof(p_search -> v_wrong)
      using errcode = 'PD003';
  end if;
  select jsonb_object_agg(f.name, f.value) into v_fields
  from (
    select case when x.name like '"\_%"' then substr(x.name, 3, length(x.name) - 3) else x.name end, x.value
    from jsonb_each_text(p_search) x (name, value)
  ) f (name, value);
  select f into v_wrong from jsonb_object_keys(v_fields) f
  where is_name(f) is not true or f in ('__proto__', '""') limit 1;
  if found then
    raise exception '%: search must be named by text of 1 to 512 bytes in Unicode normal form C without control characters, other than __proto__; got %',
      p_call, to_json(left(v_wrong, 80))
      using errcode = 'PD003';
  end if;
  if octet_length(v_fields::text) > 1048576 then
    raise exception '%: the fields of search have % bytes, the limit is 1048576; store them elsewhere and keep a reference',
      p_call, octet_length(v_fields::text) using errcode = 'PD004';
  end if;
  return coalesce(v_fields, '{}')::text;
end $$;
