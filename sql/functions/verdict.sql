-- What becomes of a start of an id that carries a run, by its policies:
--   free       a new run begins behind the one that has ended
--   fill       a reservation becomes the run
--   taken      refused
--   existing   the open run is used
--   end        the open run is terminated, then a new one begins
-- conflict (with one that runs): FAIL (default) | USE_EXISTING | TERMINATE_EXISTING; reuse (of one that has ended):
-- ALLOW_DUPLICATE | ALLOW_DUPLICATE_FAILED_ONLY | REJECT_DUPLICATE (default, unless what runs would be terminated).
create or replace function verdict(p_existing execution, p_terms json) returns text
language sql stable as $$
  select case
    when p_existing.state = 'pending' then
      case when p_terms ->> 'pendingMs' is null or p_existing.due_at <= clock() then 'fill' else 'taken' end
    when p_existing.state = 'open' then
      case x.conflict when 'USE_EXISTING' then 'existing' when 'TERMINATE_EXISTING' then 'end' else 'taken' end
    when p_existing.state = 'pruned' then 'free'      -- all that is left of its runs will go
    when x.reuse = 'ALLOW_DUPLICATE'
      or x.reuse = 'ALLOW_DUPLICATE_FAILED_ONLY' and p_existing.state in ('failed', 'cancelled', 'terminated') then 'free'
    else 'taken'
  end
  from (
    select p_terms ->> 'conflict' as conflict,
      coalesce(p_terms ->> 'reuse', case p_terms ->> 'conflict' when 'TERMINATE_EXISTING' then 'ALLOW_DUPLICATE' end) as reuse) x
$$;
