-- Writes one of a run's documents back when it changed; the other, which may be large, stays where it is.
create or replace function store_document(p_run_no bigint, p_kind text, p_before jsonb, p_after jsonb) returns void
language plpgsql as $$
-- plans: index only
begin
  if p_after is not distinct from p_before then
    return;
  end if;
  if p_kind = 'search' then
    update document set search = p_after where run_no = p_run_no;
  else
    update document set entity = p_after where run_no = p_run_no;
  end if;
end $$;
