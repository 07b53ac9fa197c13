-- For SQL (psql, a trigger): sends a signal within the current transaction, to one workflow or, without workflow_id, to
-- whoever waits longest in the namespace. expire: how long it is kept for a waiter to come. Answers delivered or buffered.
-- Raises PD001, PD003, PD004, PD404 (no such workflow), PD410 (it has ended), PD429 (too many are kept), 55P03 (held by another transaction for 5 s).
create or replace function signal_workflow(
  signal_id text, data jsonb default null, workflow_id text default null, expire interval default '10 minutes'
) returns text
language plpgsql as $$
declare
  v_status text;
begin
  v_status := signal_in_transaction(null, json_build_object(
    'requestNo', (random() * 281474976710655)::bigint,
    'signalId', checked_name('signal_workflow', 'signal_id', signal_id),
    'workflowId', case when workflow_id is not null then checked_name('signal_workflow', 'workflow_id', workflow_id) end,
    'payload', checked_payload('signal_workflow', 'data', data),
    'expireMs', checked_span('signal_workflow', 'expire', coalesce(expire, interval '10 minutes'))));
  case v_status
    when 'unknown' then
      raise exception '% Not Found', workflow_id using errcode = 'PD404';
    when 'inactive' then
      raise exception 'Job % already completed', workflow_id using errcode = 'PD410';
    when 'full' then
      raise exception 'as many signals "%" are kept as may be, and nobody takes them. See limit_kept_signals', signal_id
        using errcode = 'PD429';
    when 'held' then
      raise exception 'signal_workflow: another transaction holds signal "%" or its receiver. Try again', signal_id
        using errcode = '55P03';
    else
      return v_status;
  end case;
end $$;
