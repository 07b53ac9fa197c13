-- Deletes meeting places nobody needs any more. Never waits, so it may come after any other lock; a row that is held
-- stays and is deleted by a later caller. Deleting one too many is harmless: the row means nothing unless held.
create or replace function forget_rendezvous(p_signal_ids text[]) returns void
language plpgsql as $$
-- plans: index only
begin
  delete from rendezvous r using (
    select x.signal_id from rendezvous x
    where x.signal_id = any(p_signal_ids)
      and not exists (select from wait w where w.signal_id = x.signal_id)
      and not exists (select from signal s where s.signal_id = x.signal_id)
    order by x.signal_id for update skip locked
  ) x
  where r.signal_id = x.signal_id;
end $$;
