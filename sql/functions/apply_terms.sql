-- What the terms of a start mean for its run: a reservation is pending and lapses; timeouts count from when the run may
-- first be claimed. See start_on_terms.
create or replace function apply_terms(p_run execution, p_terms json) returns execution
language plpgsql stable as $$
begin
  if p_terms ->> 'pendingMs' is not null then
    p_run.state := 'pending';
    p_run.due_at := p_run.created_at + (p_terms ->> 'pendingMs')::double precision * interval '1 ms';
    return p_run;
  end if;
  p_run.start_at := p_run.created_at + (p_terms ->> 'delayMs')::double precision * interval '1 ms';
  p_run.run_timeout_ms := (p_terms ->> 'runTimeoutMs')::double precision;
  p_run.chain_due_at := coalesce(p_run.start_at, p_run.created_at) + (p_terms ->> 'executionTimeoutMs')::double precision * interval '1 ms';
  p_run.due_at := least(p_run.chain_due_at, coalesce(p_run.start_at, p_run.created_at) + p_run.run_timeout_ms * interval '1 ms');
  p_run.on_parent_close := p_terms ->> 'onParentClose';
  return p_run;
end $$;
