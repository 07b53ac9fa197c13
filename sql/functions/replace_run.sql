-- Terminates an open run in favour of a later start of its id (TERMINATE_EXISTING). The caller holds what end_run needs.
create or replace function replace_run(p_run execution) returns text[]
language sql as $$
-- plans: index only
  select end_run(p_run.run_no, (random() * 281474976710655)::bigint,
    termination_failure(p_run.workflow_id, 'a later start took its id'), null, false)
$$;
