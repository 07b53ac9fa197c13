-- What else has the text of a JSON scalar: '5' of 5 and 5 of '5', but 5 not of '05'. Itself where nothing else has.
create or replace function same_text(p_value jsonb) returns jsonb
language sql immutable as $$
  select case
    when jsonb_typeof(p_value) <> 'string' then to_jsonb(p_value #>> '{}')
    when (p_value #>> '{}') ~ '^(true|false|-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?)$' then (p_value #>> '{}')::jsonb
    else p_value
  end
$$;
