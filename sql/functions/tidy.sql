-- Keeps house, in small portions: signals put back, signals expired, request tables, worker rows of yesterday.
-- Apart from reap, because signals take the rendezvous before threads. Answers hints.
create or replace function tidy() returns text
language plpgsql as $$
-- plans: index only
declare
  v_hints text[];
begin
  perform begin_write(false);
  v_hints := return_signals();
  perform rotate_requests();
  delete from signal s using (
    select x.signal_no from signal x where x.expires_at < clock() order by x.expires_at limit 500 for update skip locked
  ) x
  where s.signal_no = x.signal_no;
  delete from worker w where w.released_at < clock() - interval '1 day';
  return array_to_string(v_hints, ',');
end $$;
