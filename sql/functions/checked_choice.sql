-- Lets one of some words of a call from SQL through, or null: as the client does. Raises PD003.
create or replace function checked_choice(p_call text, p_field text, p_value text, p_words text[]) returns text
language plpgsql immutable as $$
begin
  if p_value is not null and not p_value = any(p_words) then
    raise exception '%: % must be % or ''%''; got %', p_call, p_field,
      (select string_agg(format('''%s''', w), ', ') from unnest(trim_array(p_words, 1)) w), p_words[cardinality(p_words)],
      to_json(left(p_value, 100)) using errcode = 'PD003';
  end if;
  return p_value;
end $$;
