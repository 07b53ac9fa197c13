-- How many more signals may be kept: under an id, for whoever waits in the namespace, or for a chain, whatever their ids. Null: any number.
-- Looks at no more rows than may be kept, newest first, so that its cost has a bound too: where one id has signals of both sorts, or some
-- that are expired and not yet tidied away, a few more than that are let in.
-- The senders of one id, and of one chain, hold it against each other: see deliver_signals.
create or replace function signal_room(p_signal_id text, p_chain_no bigint) returns int
language plpgsql stable as $$
-- plans: index only
declare
  v_most int := (select q.kept from signal_quota q);
begin
  if v_most is null then
    return null;
  elsif p_chain_no is not null then
    return v_most - (
      select count(*) from (select s.expires_at from signal s where s.chain_no = p_chain_no limit v_most) k
      where k.expires_at > clock());
  end if;
  return v_most - (
    select count(*)
    from (
      select s.expires_at, s.chain_no from signal s
      where s.signal_id = p_signal_id order by s.signal_no desc limit v_most) k
    where k.expires_at > clock() and k.chain_no is null);
end $$;
