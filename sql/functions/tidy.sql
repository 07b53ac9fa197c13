-- Keeps house, in small portions: signals put back, signals expired, emitted events expired, request tables, worker
-- rows of yesterday, sessions of worker roles that hold on to a transaction.
-- Apart from reap, because signals take the rendezvous before threads. Answers hints.
create or replace function tidy() returns text
language plpgsql as $$
-- plans: index only
declare
  v_hints text[];
  v_gone text[];
  v_count int;
begin
  perform begin_write(false);
  v_hints := return_signals() || case when exists (select from termination) then array['d'] else '{}' end;
  perform rotate_requests();
  with gone as (
    delete from signal s using (
      select x.signal_no from signal x where x.expires_at < (select clock()) order by x.expires_at limit 500 for update skip locked
    ) x
    where s.signal_no = x.signal_no
    returning s.signal_id
  )
  select array_agg(distinct signal_id) into v_gone from gone;
  if v_gone is not null then
    perform forget_rendezvous(v_gone);
  end if;
  delete from emission m using (
    select x.emission_no from emission x where x.expires_at < (select clock()) order by x.expires_at limit 5000 for update skip locked
  ) x
  where m.emission_no = x.emission_no;
  get diagnostics v_count = row_count;
  if v_count = 5000 then
    v_hints := v_hints || 't'::text;                 -- there may be more: at once, not at the next round
  end if;
  delete from worker w where w.released_at < clock() - interval '1 day';
  perform forget_suspects();
  perform end_idle_sessions();
  return array_to_string(v_hints, ',');
end $$;
