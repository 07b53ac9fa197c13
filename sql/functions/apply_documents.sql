-- The calls of search and entity sessions in a commit: each changes or reads its run's document as the calls before it left
-- it. Answers, per call, a fact for the outcome: [op, "value", <json>], without the third where there is no such value, or
-- [op, "refused", [why, [path]]]; nothing for a plain `set`. What a reading call gave (get, mget) has its digest as a fourth when
-- it is large, and comes as [op, "same", <op>] when the caller says that this operation of its thread gave it already. A refused call changes nothing; the others go on.
-- The answers of an item stand in one text, which Postgres bounds at 1 GB: beyond 16 MiB of them its calls are refused
-- ('answers').
-- The caller holds the documents (lock_documents).
create or replace function apply_documents(
  p_thread_no bigint[], e_item int[], e_kind text[], e_op int[], e_key text[], e_value text[], e_extra text[]
) returns table (item int, fact text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_run bigint;
  v_kind text;
  v_document jsonb;
  v_stored jsonb;
  v_row record;
  v_done record;
  v_digest text;
  v_bytes bigint[] := array_fill(0::bigint, array[cardinality(p_thread_no)]);
begin
  for v_row in
    select t.run_no, u.item, u.kind, u.op, u.method, u.args::jsonb as args, u.seen
    from unnest(e_item, e_kind, e_op, e_key, e_value, e_extra) with ordinality u (item, kind, op, method, args, seen, n)
    cross join lateral (select x.run_no from thread x where x.thread_no = p_thread_no[u.item] offset 0) t
    where u.kind in ('search', 'entity')
    order by t.run_no, u.kind, u.n
  loop
    if v_row.run_no is distinct from v_run or v_row.kind <> v_kind then
      perform store_document(v_run, v_kind, v_stored, v_document);
      v_run := v_row.run_no;
      v_kind := v_row.kind;
      select case v_kind when 'search' then d.search else d.entity end into v_stored from document d where d.run_no = v_run;
      v_document := v_stored;
    end if;
    if v_kind = 'search' then
      select c.* into v_done from search_call(v_document, v_row.method, v_row.args) c;
    else
      select c.* into v_done from entity_call(v_document, v_row.method, v_row.args) c;
    end if;
    if v_bytes[v_row.item] > 16777216 then
      v_done.refused := 'answers';
    end if;
    if v_done.refused is not null then
      item := v_row.item;
      fact := format('[%s,"refused",%s]', v_row.op, json_build_array(v_done.refused, to_json(v_done.at)));
      return next;
      continue;
    end if;
    v_document := v_done.doc;
    if v_row.method <> 'set' then
      item := v_row.item;
      v_digest := case
        when v_row.method in ('get', 'mget') and pg_column_size(v_done.value) > 1024 then md5(v_done.value::text)
      end;
      if v_digest = split_part(v_row.seen, ':', 2) then
        fact := format('[%s,"same",%s]', v_row.op, split_part(v_row.seen, ':', 1)::int);
      else
        v_bytes[v_row.item] := v_bytes[v_row.item] + coalesce(pg_column_size(v_done.value), 0);
        fact := '[' || v_row.op || ',"value"' || coalesce(',' || v_done.value::text, '') || coalesce(',"' || v_digest || '"', '') || ']';
      end if;
      return next;
    end if;
  end loop;
  perform store_document(v_run, v_kind, v_stored, v_document);
end $$;
