-- Those of dead workers that had a suspect under trial when they died: it still belongs to them, or was counted already.
create or replace function trying(p_dead int[]) returns int[]
language plpgsql stable as $$
-- plans: index only
begin
  return array(
    select distinct s.tried_by
    from suspect s
    cross join lateral (select x.owner from thread x where x.thread_no = s.thread_no offset 0) t
    where s.tried_by = any(p_dead) and (t.owner = s.tried_by or s.lost_with = s.tried_by));
end $$;
