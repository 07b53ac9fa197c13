-- Notes chains that have just ended and have open children that end, or are cancelled, with them: see descend. A chain whose
-- descendants all end has its note already. Answers hints.
create or replace function note_dependents(p_chains bigint[]) returns text[]
language plpgsql as $$
-- plans: index only
begin
  insert into termination (chain_no, asked_at, whole)
  select u.chain_no, clock(), false from unnest(p_chains) u (chain_no) order by 1
  on conflict do nothing;
  return '{d}';
end $$;
