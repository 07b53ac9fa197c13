-- Lets a time limit of a call from SQL through, as checked_span, but none of length 0. In ms. Raises PD003.
create or replace function checked_limit(p_call text, p_field text, p_value interval) returns double precision
language plpgsql stable as $$
begin
  if p_value = interval '0' then
    raise exception '%: % must be an interval longer than 0; got %. Leave it out for no limit', p_call, p_field, p_value
      using errcode = 'PD003';
  end if;
  return checked_span(p_call, p_field, p_value);
end $$;
