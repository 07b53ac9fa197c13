-- Every ten minutes the older of the two request tables is emptied and used next, so a request is remembered for ten
-- to twenty minutes at no cost in dead rows. Writers hold the slot's row (FOR KEY SHARE) until they commit, so no
-- request can be under way in one table while its retry looks into the other.
-- Locks: the slot row; gives up at once when it is held or the table is in use.
create or replace function rotate_requests() returns void
language plpgsql as $$
declare
  v_slot int;
begin
  select s.slot into v_slot from request_slot s where s.since < clock() - request_window() for update skip locked;
  if not found then
    return;
  end if;
  begin
    if v_slot = 0 then truncate request_1; else truncate request_0; end if;
    update request_slot set slot = 1 - v_slot, since = clock();
  exception when lock_not_available then
    null;                                            -- somebody reads the old table; the next reaper tries again
  end;
end $$;
