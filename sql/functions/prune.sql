-- Prunes some of the runs that are due, and goes on with histories that were too long for one call. Any number of workers
-- may do so at once: each takes notes of its own. Where runs are archived first this only goes on (see take_due_runs).
-- Answers how many runs went, and whether there is more to do at once.
-- Locks: notes (held ones skipped), then as delete_runs.
create or replace function prune() returns table (pruned int, more boolean)
language plpgsql as $$
-- plans: index only
declare
  v_note record;
  v_ids tid[] := '{}';
  v_runs bigint[] := '{}';
  v_threads bigint[] := '{}';
  v_deleted record;
  v_archives boolean := (select a.is_on from archiving a);
begin
  perform begin_write(false);
  for v_note in
    select p.ctid as id, p.runs, p.threads from pruning p
    where p.due_at <= (select clock()) and (p.runs = '{}' or not v_archives)
    order by p.due_at limit 100 for update skip locked
  loop
    v_ids := v_ids || v_note.id;
    v_runs := v_runs || v_note.runs;
    v_threads := v_threads || v_note.threads;
    exit when cardinality(v_runs) + cardinality(v_threads) >= 200;
  end loop;
  -- pause: taken
  select d.* into v_deleted from delete_runs(v_runs) d;
  perform note_pruning(v_deleted.held, v_deleted.crowded, delete_history(v_threads || v_deleted.threads, 2000));
  delete from pruning p where p.ctid = any(v_ids);
  -- pause: done
  pruned := cardinality(v_runs) - cardinality(v_deleted.held) - cardinality(v_deleted.crowded);
  more := v_ids <> '{}'
    and exists (select from pruning p where p.due_at <= (select clock()) and (p.runs = '{}' or not v_archives));
  return next;
end $$;
