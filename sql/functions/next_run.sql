-- Numbers a run that begins a new chain under its id, behind the newest one (p_old; its fields are null when there is none).
create or replace function next_run(p_run execution, p_old execution) returns execution
language plpgsql as $$
begin
  p_run.run_no := nextval('run_number');
  p_run.chain_no := p_run.run_no;
  p_run.run := coalesce(p_old.run + 1, 0);
  p_run.cause := case when p_old.run_no is null then 'start' else 'reused' end;
  p_run.cancel_requested := false;
  p_run.created_at := clock();
  p_run.state := 'open';
  return p_run;
end $$;
