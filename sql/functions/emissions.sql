-- What was emitted behind given positions: many subscriptions in one call. Each names a workflow (p_workflow_id, its
-- newest chain), a topic, a pattern of topics as LIKE takes it, or none of them for everything.
-- Answers rows in order of position per item; behind them a row without topic: up to where that item has been looked
-- through. It is short of the end when there was too much for one answer (about 8 MiB for all items together).
-- Row 0 is always there: the last position that was given.
create or replace function emissions(p_after bigint[], p_workflow_id text[], p_topic text[], p_pattern text[])
returns table (
  item int, emission_no bigint, topic text, payload text, workflow_id text, run int, emitted_ms double precision
)
language plpgsql stable as $$
-- plans: index only
#variable_conflict use_column
declare
  v_last bigint := (select c.last from emission_counter c);
  v_most int := 1000;                                -- rows looked at per item
  v_most_bytes bigint := greatest(65536, 8388608 / greatest(cardinality(p_after), 1));
  v_chain_no bigint;
  v_rows int;
  v_bytes bigint;
  v_row record;
begin
  return query select 0, v_last, null::text, null::text, null::text, null::int, null::double precision;
  for i in 1 .. cardinality(p_after) loop
    continue when p_after[i] >= v_last;
    v_chain_no := null;
    if p_workflow_id[i] is not null then
      v_chain_no := coalesce(
        (select e.chain_no from execution e where e.workflow_id = p_workflow_id[i] order by e.run desc limit 1), -1);
    end if;
    v_rows := 0;
    v_bytes := 0;
    item := i;
    emission_no := v_last;
    for v_row in
      -- one of the three: each its own index
      (select m.* from emission m
       where v_chain_no is not null and m.chain_no = v_chain_no and m.emission_no > p_after[i] and m.emission_no <= v_last
       order by m.emission_no limit v_most + 1)
      union all
      (select m.* from emission m
       where v_chain_no is null and p_topic[i] is not null
         and m.topic = p_topic[i] and m.emission_no > p_after[i] and m.emission_no <= v_last
       order by m.emission_no limit v_most + 1)
      union all
      (select m.* from emission m
       where v_chain_no is null and p_topic[i] is null and m.emission_no > p_after[i] and m.emission_no <= v_last
       order by m.emission_no limit v_most + 1)
    loop
      if v_rows = v_most or v_bytes >= v_most_bytes then
        exit;                                        -- emission_no is that of the row before
      end if;
      v_rows := v_rows + 1;
      emission_no := v_row.emission_no;
      continue when v_row.topic <> p_topic[i] or v_row.topic not like p_pattern[i];
      v_bytes := v_bytes + coalesce(octet_length(v_row.payload), 0);
      return query
      select i, v_row.emission_no, v_row.topic, v_row.payload, e.workflow_id, e.run,
        extract(epoch from v_row.emitted_at)::double precision * 1000
      from execution e where e.run_no = v_row.run_no;
    end loop;
    topic := null; payload := null; workflow_id := null; run := null; emitted_ms := null;
    if v_rows < v_most and v_bytes < v_most_bytes then
      emission_no := v_last;
    end if;
    return next;
  end loop;
end $$;
