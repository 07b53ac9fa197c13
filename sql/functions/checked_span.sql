-- Lets a length of time of a call from SQL through: from 0 to 100 years, as the client has it. In ms. Raises PD003.
create or replace function checked_span(p_call text, p_field text, p_value interval) returns double precision
language plpgsql stable as $$
begin
  if not (p_value >= interval '0' and p_value <= interval '100 years') then
    raise exception '%: % must be an interval from 0 to 100 years; got %', p_call, p_field, p_value using errcode = 'PD003';
  end if;
  return extract(epoch from p_value) * 1000;
end $$;
