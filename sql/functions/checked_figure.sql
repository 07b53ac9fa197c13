-- Lets a figure of a scoped worker through, or none. What is out of bounds may be stored, and would fail in the housekeeping of
-- whoever computes with it later, for everybody. Raises PD003.
create or replace function checked_figure(p_field text, p_value double precision, p_least double precision, p_most double precision)
returns void
language plpgsql immutable as $$
begin
  if not coalesce(p_value between p_least and p_most, true) then    -- NaN is above all
    raise exception '% must be a number from % to %; got %', p_field, p_least, p_most, p_value using errcode = 'PD003';
  end if;
end $$;
