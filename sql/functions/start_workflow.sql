-- For SQL (psql, a trigger): starts a workflow within the current transaction. Answers its id, generated where none is given; also
-- where conflict policy USE_EXISTING found one that runs.
-- expire: how long it stays readable once finished, '0' for ever, null the default. pending: reserves the id for so long
-- without running. Policies, delay and timeouts are those of the client's start. What it is given is stored as a client
-- without a codec stores it.
-- The names of the parameters are what callers write (`workflow_name => ...`), hence without p_.
-- Raises PD001, PD003, PD004, PD409 (the id is taken), 55P03 (held by another transaction for 5 s).
create or replace function start_workflow(
  workflow_name text, task_queue text, args jsonb default '[]', workflow_id text default null, entity text default null,
  search jsonb default null, expire interval default null, signal_in boolean default true, pending interval default null,
  workflow_id_reuse_policy text default null, workflow_id_conflict_policy text default null, start_delay interval default null,
  workflow_execution_timeout interval default null, workflow_run_timeout interval default null
) returns text
language plpgsql as $$
declare
  v_id text := coalesce(nullif(workflow_id, ''),
    'H' || translate(substr(encode(uuid_send(gen_random_uuid()), 'base64'), 1, 22), '+/', '-_'));
  v_status text;
  v_terms json := json_strip_nulls(json_build_object(
    'pendingMs', checked_span('start_workflow', 'pending', pending),
    'reuse', nullif(checked_choice('start_workflow', 'workflow_id_reuse_policy', workflow_id_reuse_policy,
      '{ALLOW_DUPLICATE,ALLOW_DUPLICATE_FAILED_ONLY,REJECT_DUPLICATE}'), 'REJECT_DUPLICATE'),
    'conflict', nullif(checked_choice('start_workflow', 'workflow_id_conflict_policy', workflow_id_conflict_policy,
      '{FAIL,USE_EXISTING,TERMINATE_EXISTING}'), 'FAIL'),
    'delayMs', nullif(checked_span('start_workflow', 'start_delay', start_delay), 0),
    'executionTimeoutMs', checked_limit('start_workflow', 'workflow_execution_timeout', workflow_execution_timeout),
    'runTimeoutMs', checked_limit('start_workflow', 'workflow_run_timeout', workflow_run_timeout)));
begin
  if workflow_id_reuse_policy = 'REJECT_DUPLICATE' and workflow_id_conflict_policy = 'TERMINATE_EXISTING' then
    raise exception 'start_workflow: workflow_id_reuse_policy must be ''ALLOW_DUPLICATE'' or ''ALLOW_DUPLICATE_FAILED_ONLY'' with workflow_id_conflict_policy ''TERMINATE_EXISTING''; got "REJECT_DUPLICATE". What is terminated has ended: a new workflow would be refused behind it'
      using errcode = 'PD003';
  end if;
  if jsonb_typeof(args) is distinct from 'array' then
    raise exception 'start_workflow: args must be an array; got %. Put a single argument in brackets',
      coalesce(jsonb_typeof(args), 'null') using errcode = 'PD003';
  end if;
  if pending is not null and (v_terms ->> 'delayMs' is not null or v_terms ->> 'executionTimeoutMs' is not null or v_terms ->> 'runTimeoutMs' is not null) then
    raise exception 'start_workflow: start_delay, workflow_execution_timeout and workflow_run_timeout must be left out with pending. A reservation does not run: give them to the start that fills it'
      using errcode = 'PD003';
  end if;
  v_status := (
    select s.status from start_in_transaction(null, json_build_object(
      'requestNo', (random() * 281474976710655)::bigint,
      'workflowId', checked_name('start_workflow', 'workflow_id', v_id),
      'taskQueue', checked_name('start_workflow', 'task_queue', task_queue),
      'workflowName', checked_name('start_workflow', 'workflow_name', workflow_name),
      'args', checked_payload('start_workflow', 'args', args),
      'expireS', checked_span('start_workflow', 'expire', expire) / 1000,
      'signalIn', coalesce(signal_in, true),
      'terms', nullif(v_terms::text, '{}'),
      'entity', case when entity is not null then checked_name('start_workflow', 'entity', entity) end,
      'search', checked_search('start_workflow', search))) s);
  case v_status
    when 'undeclared' then
      raise exception 'start_workflow: workflow_name must be a workflow that a worker or client has named on queue "%"; got "%", and known there are %. Start a worker, or once, in a transaction of its own: select declare_workflow(...)',
        task_queue, workflow_name,
        coalesce((select string_agg(s.name, ', ' order by s.name) from (
          select x.name from service x where x.kind = 'workflow' and x.task_queue = start_workflow.task_queue
          order by x.name limit 20) s), 'none')
        using errcode = 'PD003';
    when 'duplicate' then
      raise exception 'Duplicate job: %', v_id using errcode = 'PD409';
    when 'held' then
      raise exception 'start_workflow: another transaction holds workflow id "%". Try again', v_id using errcode = '55P03';
    else
      return v_id;
  end case;
end $$;
