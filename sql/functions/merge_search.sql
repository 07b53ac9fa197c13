-- Sets search fields of runs from outside (client.hook): p_search is a JSON object of text
-- for each run, null for none. Several of one run count in their order. Answers the runs refused because their document
-- would grow too large; of those nothing is set.
-- Locks: documents. The caller holds the executions, and does not hold threads yet.
create or replace function merge_search(p_runs bigint[], p_search text[]) returns bigint[]
language plpgsql as $$
-- plans: index only
declare
  v_refused bigint[] := '{}';
  v_row record;
  v_done record;
begin
  perform lock_documents(array(select u.r from unnest(p_runs, p_search) u (r, s) where u.s is not null), '{}');
  for v_row in
    select u.r as run_no, u.s as fields from unnest(p_runs, p_search) with ordinality u (r, s, n) where u.s is not null order by u.n
  loop
    select c.* into v_done
    from document d cross join lateral search_call(d.search, 'set', jsonb_build_array(v_row.fields::jsonb)) c
    where d.run_no = v_row.run_no;
    if v_done.refused is null then
      update document set search = v_done.doc where run_no = v_row.run_no;
    else
      v_refused := v_refused || v_row.run_no::bigint;
    end if;
  end loop;
  return v_refused;
end $$;
