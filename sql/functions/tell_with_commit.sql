-- Sends hints with the commit of the transaction it is called in: for transactions that are not the engine's own. (Inside
-- its own commits it would cost 38 to 46 % of them.) More than NOTIFY takes becomes "look everywhere". What only the caller
-- could tell of (the hints 'e') is left out: it does not know when, and whether, this commits.
create or replace function tell_with_commit(p_hints text) returns void
language plpgsql as $$
begin
  p_hints := (select string_agg(h, ',') from unnest(string_to_array(p_hints, ',')) h where h !~ '^e\d');
  if p_hints <> '' then
    perform pg_notify('perdure_' || n.nspname, case when length(p_hints) < 7000 then p_hints else 'a' end)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = 'schema_info'::regclass;
  end if;
end $$;
