-- Says whether runs are archived before they are pruned. It stays so, for all workers, until somebody says otherwise: a
-- worker that cannot archive must not prune what another one would have archived.
create or replace function set_archiving(p_on boolean) returns void
language plpgsql as $$
-- plans: index only
begin
  perform begin_write(false);
  update archiving set is_on = p_on where is_on <> p_on;
end $$;
