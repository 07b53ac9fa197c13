-- What whoever waits for a run gets that the engine terminated, as handle.terminate would have written it.
create or replace function termination_failure(p_workflow_id text, p_reason text) returns text
language sql immutable as $$
  select json_build_object('name', 'TerminatedError', 'type', 'TerminatedError',
    'message', format('job [%s] interrupted: %s', p_workflow_id, p_reason),
    'code', 410, 'stack', '', 'job_id', p_workflow_id, 'nonRetryable', true)::text
$$;
