-- What a stored failure says, for people: null where a codec sealed it, or it holds what no text of Postgres can.
create or replace function failure_message(p_failure text) returns text
language plpgsql immutable as $$
begin
  return left(p_failure::json ->> 'message', 500);
exception when others then
  return null;
end $$;
