-- The failure of a run whose time is over, as a process would have written it. See timeout_failure for those of activities.
create or replace function run_timeout_failure(p_run execution, p_at timestamptz) returns text
language sql stable as $$
  select json_build_object(
    'name', 'DurableTimeoutError', 'type', 'DurableTimeoutError',
    'message', format('Job %s exceeded its %s', p_run.workflow_id,
      case when x.chain then 'workflowExecutionTimeout' else format('workflowRunTimeout of %ss', p_run.run_timeout_ms / 1000) end),
    'code', 596, 'stack', '', 'job_id', p_run.workflow_id, 'nonRetryable', true,
    'details', json_build_object('timeoutType', case when x.chain then 'WORKFLOW_EXECUTION' else 'WORKFLOW_RUN' end))::text
  from (select coalesce(p_run.chain_due_at <= p_at, false) as chain) x
$$;
