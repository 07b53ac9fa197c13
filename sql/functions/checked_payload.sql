-- A value of a call from SQL as a client without a codec stores it (src/codec/payload.ts); null for SQL's null, which is
-- undefined. What begins like a sealed payload is marked as plain. Deeper than 500 levels nobody could read it.
-- Raises PD003, PD004.
create or replace function checked_payload(p_call text, p_field text, p_value jsonb) returns text
language plpgsql immutable as $$
declare
  v_text text := p_value::text;
begin
  if octet_length(v_text) > 8388608 then
    raise exception '%: % has % bytes, the limit is 8388608; store it elsewhere and pass a reference',
      p_call, p_field, octet_length(v_text) using errcode = 'PD004';
  end if;
  -- each level takes two characters, so few are looked into
  if length(v_text) > 1000 and jsonb_path_exists(p_value, 'strict $.**{500} ? (@.type() == "array" || @.type() == "object")') then
    raise exception '%: % must be nested no deeper than 500 levels', p_call, p_field using errcode = 'PD003';
  end if;
  return case when v_text like '{"perdure:%' then '{"perdure:plain":' || v_text || '}' else v_text end;
end $$;
