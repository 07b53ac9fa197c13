-- Two documents merged: objects at any depth, everything else as the second has it. Recursive: sessions let documents be no
-- deeper than 100 levels.
create or replace function merge_documents(p_into jsonb, p_from jsonb) returns jsonb
language plpgsql immutable as $$
begin
  if jsonb_typeof(p_into) <> 'object' or jsonb_typeof(p_from) <> 'object' then
    return p_from;
  end if;
  return p_into || coalesce((
    select jsonb_object_agg(f.key, case when p_into ? f.key then merge_documents(p_into -> f.key, f.value) else f.value end)
    from jsonb_each(p_from) f), '{}');
end $$;
