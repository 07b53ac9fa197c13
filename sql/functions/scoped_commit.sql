-- What a commit of a scoped worker comes to within its grants; see docs/roles.md for the rules. Answers the arrays of the commit
-- that differ:
-- * A thread that is not the worker's, nor was when this very commit was made before, is one that does not exist.
-- * What starts work on a queue it may not call is refused (42501): the thread is blocked, and a worker with that right goes on.
-- * Other workflows than those it reaches (is_reachable) are not there, or their ids are taken. That is decided again at their
--   rows; here it keeps the commit from locking them.
-- * A signal for the namespace needs the right to send one (42501), but for the one that whoever opened this hook awaits: it is
--   for that chain alone, named in `extra`.
-- * Arrays are lists of equal length; see is_plain.
-- * Figures that others compute with later are in bounds (PD003).
-- Locks nothing.
create or replace function scoped_commit(
  p_worker_no int, inout p_thread_no bigint[], p_seq int[], p_commit_no bigint[], p_opened_from int[], p_opened_count int[],
  p_closing text[], e_item int[], inout e_kind text[], inout e_key text[], e_number double precision[], inout e_extra text[]
) language plpgsql as $$
-- plans: index only
declare
  v_grants worker_role := caller_grants();
  v_extra json;
  v_items int := cardinality(p_thread_no);
  v_effects int := cardinality(e_kind);
  v_chain bigint;
begin
  if (
    is_plain(p_thread_no, v_items) and is_plain(p_seq, v_items) and is_plain(p_commit_no, v_items) and is_plain(p_closing, v_items)
    and is_plain(p_opened_from, v_items) and is_plain(p_opened_count, v_items)
    and is_plain(e_item, v_effects) and is_plain(e_kind, v_effects) and is_plain(e_key, v_effects)
    and is_plain(e_number, v_effects) and is_plain(e_extra, v_effects)) is not true
  then
    raise exception 'the arrays of a commit must be of one length each, counted from 1' using errcode = 'PD003';
  end if;
  p_thread_no := array(
    select case when t.owner = p_worker_no or h.worker_no = p_worker_no then u.thread_no else -u.n end
    from unnest(p_thread_no, p_seq, p_commit_no) with ordinality u (thread_no, seq, commit_no, n)
    left join lateral (select x.owner from thread x where x.thread_no = u.thread_no offset 0) t on true
    left join lateral (
      select x.worker_no from history x
      where x.thread_no = u.thread_no and x.seq = u.seq and x.commit_no = u.commit_no offset 0) h on true
    order by u.n);
  if exists (select from unnest(p_closing) c where c <> all ('{completed,failed,cancelled,continued}')) then
    raise exception 'a thread closes as completed, failed, cancelled or continued' using errcode = 'PD003';
  end if;
  perform checked_figure('opened', u.a::double precision + u.b, 0, 2e9), checked_figure('opened', u.b, 0, 1e6)
  from unnest(p_opened_from, p_opened_count) u (a, b);
  for i in 1 .. cardinality(e_kind) loop
    case e_kind[i]
    when 'task' then
      perform assert_callable(v_grants, 'activity', e_key[i]);
    when 'limits' then
      perform checked_limits(e_extra[i]);
    when 'child', 'child on terms', 'hook' then
      v_extra := e_extra[i]::json;
      perform assert_callable(v_grants, 'workflow', v_extra ->> 'taskQueue');
      perform checked_name('commit', 'workflowName', v_extra ->> 'workflowName');
      perform checked_name('commit', 'workflowId', coalesce(e_key[i], 'own'));
      perform checked_figure('expire', (v_extra ->> 'expire')::double precision, 0, 1e10);
      perform checked_figure(f, (v_extra -> 'terms' ->> f)::double precision, 0, 1e13)
      from unnest('{pendingMs,delayMs,executionTimeoutMs,runTimeoutMs}'::text[]) f;
      if e_key[i] is not null and e_kind[i] <> 'child' and not is_reachable(latest_run(e_key[i]), p_thread_no[e_item[i]]) then
        if e_kind[i] = 'hook' then
          e_key[i] := '';                            -- no workflow has it
        else
          e_kind[i] := 'child';                      -- answered as a duplicate
        end if;
      end if;
    when 'terminate' then
      perform checked_figure('expire', e_number[i], 0, 1e10);
      if not is_reachable(latest_run(e_key[i]), p_thread_no[e_item[i]]) then
        e_key[i] := '';
      end if;
    when 'signal' then
      e_extra[i] := null;
      if not v_grants.signals then
        select e.chain_no into v_chain
        from hook k join thread t on t.thread_no = k.opener_thread join execution e on e.run_no = t.run_no
        where k.thread_no = p_thread_no[e_item[i]] and k.signal_id = e_key[i];
        if not found then
          raise exception 'role "%" may not signal whoever waits in the namespace. Provision it with signals: true', v_grants.role_name
            using errcode = '42501';
        end if;
        e_extra[i] := v_chain::text;
      end if;
    when 'timer', 'untimer', 'fire', 'wait', 'unwait', 'untask', 'uncall', 'own', 'emit', 'search', 'entity' then
      null;                                          -- on its own thread and run
    else
      raise exception 'there is no effect "%"', left(e_kind[i], 80) using errcode = 'PD003';
    end case;
  end loop;
end $$;
