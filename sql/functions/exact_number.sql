-- A computed number as it is kept, without trailing zeros; null when it is larger than a number of JavaScript or has more than
-- 500 decimals, which nobody could read back exactly or compute on for long.
create or replace function exact_number(p_number numeric) returns numeric
language sql immutable as $$
  select n from (select trim_scale(p_number) as n) x where abs(n) <= 1.7976931348623157e308 and scale(n) <= 500
$$;
