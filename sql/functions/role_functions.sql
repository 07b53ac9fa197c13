-- What each kind of role may execute, by name: see docs/roles.md. A function that is listed nowhere is the owner's alone.
-- 'scoped worker' is the kind of worker roles: what stands there checks whom it serves. 'worker' serves any queue.
create or replace function role_functions(p_kind text) returns text[]
language sql immutable as $$
  select case p_kind
    when 'scoped worker' then v.work
    when 'worker' then v.work || '{serve_any_queue,set_archiving,take_due_runs,prune_archived,load_history,find_entities,user_data}'::text[]
    when 'client' then v.look || v.steer || '{start,backlog,hook,answer_task,declare_workflow,start_in_transaction,signal_in_transaction,
      cancel_in_transaction,start_workflow,signal_workflow,cancel_workflow}'::text[]
    when 'dashboard' then v.look || v.steer
    when 'observer' then '{schema_version,list_executions,count_executions,explain}'::text[]
  end
  from (values (
    '{schema_version,my_grants,register_worker,renew_lease,retire_worker,claim,claim_tasks,commit,park,block,release,mail,rest_of_mail,load_own_history,
      queue_tasks,take_step,finish_tasks,finish_in_transaction,heartbeat_tasks,owned,unserved,reap,tidy,expire_tasks,expire_runs,
      descend,prune,try_suspect,changed_runs}'::text[],
    '{schema_version,describe,results,list_executions,count_executions,explain,user_data,find_entities,emissions,recorded_threads,
      read_histories,load_history,threads_to_replay,children_of,open_children,changed_runs}'::text[],
    '{signal,cancel,terminate,descend,pause,resume,reset}'::text[]
  )) v (work, look, steer)
$$;
