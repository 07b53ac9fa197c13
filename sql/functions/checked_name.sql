-- Lets an id or name of a call from SQL through, as the client checks it (src/core/identifier.ts). Text in Postgres holds
-- neither NUL characters nor lone surrogates. Raises PD003.
create or replace function checked_name(p_call text, p_field text, p_value text) returns text
language plpgsql immutable as $$
begin
  if is_name(p_value) is not true then
    raise exception '%: % must be text of 1 to 512 bytes in Unicode normal form C without control characters; got %', p_call, p_field,
      case when p_value is null then 'null' when p_value = '' then 'an empty text'
      when octet_length(p_value) > 512 then octet_length(p_value) || ' bytes' else to_json(p_value)::text end
      using errcode = 'PD003';
  end if;
  return p_value;
end $$;
