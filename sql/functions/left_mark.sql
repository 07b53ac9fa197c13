-- Whether a caller's client left its mark in this transaction; null where it leaves none (a call from SQL). The setting is
-- local, so it is gone with the transaction it was made in: without one, with the statement that made it.
create or replace function left_mark(p_mark text) returns boolean
language sql stable as $$
  select coalesce(current_setting('perdure.transaction', true), '') = p_mark
$$;
