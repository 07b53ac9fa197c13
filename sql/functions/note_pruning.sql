-- Notes what is left to prune: runs that somebody holds, in a while; what was too much for one call, at once.
create or replace function note_pruning(p_held bigint[], p_crowded bigint[], p_threads bigint[]) returns void
language plpgsql as $$
-- plans: index only
begin
  if p_held <> '{}' then
    insert into pruning (due_at, runs) values (clock() + interval '10 s', p_held);
  end if;
  if p_crowded <> '{}' or p_threads <> '{}' then
    insert into pruning (due_at, runs, threads) values (clock(), p_crowded, p_threads);
  end if;
end $$;
