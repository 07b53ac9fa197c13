-- Whether an array is a list of so many items, counted from 1. One with other bounds pairs differently by position and by
-- subscript: what is checked would not be what is done.
create or replace function is_plain(p_array anyarray, p_items int) returns boolean
language sql immutable as $$
  select cardinality(p_array) = p_items and coalesce(array_ndims(p_array) = 1 and array_lower(p_array, 1) = 1, true)
$$;
