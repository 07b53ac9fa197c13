-- The effects of a commit that come behind the end of its own threads: what ends by itself does not have to make room, and
-- is not terminated any more. Answers decisions by item, in order; hints on item 0.
create or replace function late_effects(
  p_thread_no bigint[], p_runs bigint[],
  e_item int[], e_kind text[], e_op int[], e_key text[], e_value text[], e_number double precision[], e_extra text[]
) returns table (item int, decision text)
language plpgsql as $$
begin
  if 'child on terms' = any(e_kind) then
    return query select s.* from start_children_on_terms(p_thread_no, p_runs, e_item, e_kind, e_op, e_key, e_value, e_extra) s;
  end if;
  if 'terminate' = any(e_kind) then
    return query select t.* from terminate_runs(p_thread_no, p_runs, e_item, e_kind, e_op, e_key, e_value, e_number, e_extra) t;
  end if;
end $$;
