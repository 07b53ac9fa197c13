-- The condition that a filter of executions means, as text for statements over `execution e left join document d`, with the
-- filter as parameter $1, the numbers of its services as $2 and its states as $3 (filtered_services, filtered_states). The
-- text is put together from those below and from paths into the filter; no value becomes part of it (see document_clause for
-- what the planner makes of that).
--
-- The filter, all of whose conditions hold, as src/core/execution-filter.ts checks and writes it:
--   workflowId, workflowIdPrefix, parentWorkflowId, entity      text
--   workflowName, taskQueue      text; become $2
--   status                       states; become $3; without it all but `continued`, whose work another run goes on with
--   startedFrom, startedTo, closedFrom, closedTo      ms since the epoch; `To` excluded
--   search, where                [{ field, op, value }] on search fields and entity document: search_clause, document_clause
--   blocked                      whether any of its threads is
--   quarantined                  whether any of its threads is: a part of those that are blocked
--   paused                       whether it is
-- Raises PD003 for what is no object, and for other keys: a filter of a newer client must not select more than it says.
create or replace function execution_clause(p_filter jsonb) returns text
language plpgsql stable as $$
declare
  v_clauses text[] := '{}';
  v_key text;
  v_field text;
  v_value text;
  v_condition jsonb;
begin
  if jsonb_typeof(p_filter) is distinct from 'object' then
    raise exception 'filter: must be an object; got %', coalesce(jsonb_typeof(p_filter), 'null') using errcode = 'PD003';
  end if;
  for v_key in select k from jsonb_object_keys(p_filter) k order by k loop
    v_clauses := v_clauses || case v_key
      when 'workflowId' then 'e.workflow_id = $1 ->> ''workflowId'''
      when 'workflowIdPrefix' then 'e.workflow_id ^@ ($1 ->> ''workflowIdPrefix'')'
      when 'parentWorkflowId' then 'e.parent_workflow_id = $1 ->> ''parentWorkflowId'''
      when 'workflowName' then 'e.service_no = any ($2)'
      when 'taskQueue' then 'e.service_no = any ($2)'
      when 'entity' then 'e.entity = $1 ->> ''entity'''
      when 'status' then 'e.state = any ($3)'
      when 'startedFrom' then 'e.created_at >= to_timestamp(($1 ->> ''startedFrom'')::double precision / 1000)'
      when 'startedTo' then 'e.created_at < to_timestamp(($1 ->> ''startedTo'')::double precision / 1000)'
      when 'closedFrom' then 'e.closed_at >= to_timestamp(($1 ->> ''closedFrom'')::double precision / 1000)'
      when 'closedTo' then 'e.closed_at < to_timestamp(($1 ->> ''closedTo'')::double precision / 1000)'
      when 'blocked' then case when (p_filter -> 'blocked')::boolean then '' else 'not ' end
        -- `excluded`: its index holds few threads
        || 'exists (select from thread t where t.run_no = e.run_no and t.excluded is not null and t.state = ''blocked'')'
      when 'quarantined' then case when (p_filter -> 'quarantined')::boolean then '' else 'not ' end
        || 'exists (select from thread t where t.run_no = e.run_no and t.excluded is not null and t.excluded = ''{}'' and t.state = ''blocked'')'
      when 'paused' then 'e.paused_at is ' || case when (p_filter -> 'paused')::boolean then 'not null' else 'null' end
      when 'search' then null
      when 'where' then null
    end;
    if v_clauses[cardinality(v_clauses)] is null and not v_key in ('search', 'where') then
      raise exception 'filter: unknown condition "%" (the schema may be older than this library)', v_key using errcode = 'PD003';
    end if;
  end loop;
  if not p_filter ? 'status' then
    v_clauses := v_clauses || 'e.state not in (''continued'', ''pruned'')'::text;
  end if;
  for v_key, v_condition in
    select k, c.condition || jsonb_build_object('n', c.n - 1)
    from unnest(array['search', 'where']) k
    cross join lateral jsonb_array_elements(coalesce(p_filter -> k, '[]')) with ordinality c (condition, n)
  loop
    v_field := format('($1 #>> ''{%s,%s,field}'')', v_key, v_condition ->> 'n');
    v_value := format('($1 #> ''{%s,%s,value}'')', v_key, v_condition ->> 'n');
    v_clauses := v_clauses || case v_key
      when 'search' then search_clause(v_field, v_value, v_condition ->> 'op', v_condition -> 'value')
      else document_clause(format('(d.entity -> %s)', v_field), v_value, v_condition ->> 'op', v_condition -> 'value')
    end;
  end loop;
  return array_to_string(v_clauses, ' and ');
end $$;
