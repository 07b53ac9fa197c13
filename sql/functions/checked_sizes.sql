-- Lets texts of a scoped worker through that others will have to read: arguments, outcomes, signals. The library refuses values of
-- more than 8 MiB, which a codec may make larger; who sends SQL of its own does not go through the library. Raises PD004.
create or replace function checked_sizes(p_call text, p_texts text[]) returns void
language plpgsql immutable as $$
declare
  v_most int := (select max(octet_length(u)) from unnest(p_texts) u);
begin
  if v_most > 33554432 then
    raise exception '%: a payload has % bytes, the limit is 33554432; store it elsewhere and pass a reference', p_call, v_most
      using errcode = 'PD004';
  end if;
end $$;
