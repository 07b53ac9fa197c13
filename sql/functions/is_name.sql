-- Whether text may be an id or a name: src/core/identifier.ts. Only the first case is looked at for nearly all of them.
create or replace function is_name(p_text text) returns boolean
language sql immutable as $$
  select case
    when p_text !~ E'[^\\u0020-\\u007e]' then octet_length(p_text) between 1 and 512
    else octet_length(p_text) <= 512 and p_text !~ E'[\\u0001-\\u001f\\u007f-\\u009f]' and p_text is nfc normalized
  end
$$;
