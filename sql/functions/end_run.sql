-- Ends one open run from outside (terminated, or failed by its timeout): closing entries for its threads, the end of the run, and, when its descendants are to end
-- too, the note that says so (see descend). The caller holds the execution, its threads, the parent's and those of
-- whoever awaits its hooks. The hint 'e' and its number is for the caller alone: no worker of its own tells subscribers (changed_runs).
create or replace function end_run(p_run bigint, p_commit_no bigint, p_failure text, p_expire_s double precision, p_descend boolean, p_state text default 'terminated')
returns text[]
language plpgsql as $$
-- plans: index only
begin
  perform end_threads(array[p_run]);
  update history h set commit_no = p_commit_no, result = p_failure
  where h.thread_no = p_run and h.closes and h.worker_no = 0;
  if p_expire_s is not null then
    update execution e set expire_s = p_expire_s where e.run_no = p_run;
    if p_expire_s > 0 then
      -- the runs before it that led here: as long as it, not as long as they would be by themselves
      insert into pruning (due_at, runs)
      select clock() + greatest(p_expire_s * interval '1 s', request_window()), array_agg(x.run_no order by x.run_no)
      from execution e join execution x on x.workflow_id = e.workflow_id and x.run < e.run and x.chain_no = e.chain_no
      where e.run_no = p_run having count(*) > 0;
    end if;
  end if;
  if p_descend then
    insert into termination (chain_no, asked_at, whole, expire_s, failure)
    select e.chain_no, clock(), true, p_expire_s, p_failure from execution e where e.run_no = p_run
    on conflict do nothing;
  end if;
  return close_threads(array[p_run], array[p_state], array[p_failure])
    || ('e' || p_run)
    || case when p_descend then array['d'] else '{}' end;
end $$;
