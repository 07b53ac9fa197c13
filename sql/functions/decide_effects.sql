-- The effects whose outcome the database decides: a child's id may be taken, a signal may find no waiter, a wait may
-- find a signal already there, a hook's workflow may have ended, a document holds what it holds. Answers only what differs
-- from the usual (child started, signal delivered, wait waits, awaited hook opened, document written), per item:
-- [[op, what, value], ...]; then hints on item 0. The caller holds the locks (commit).
create or replace function decide_effects(
  p_thread_no bigint[], p_locked bigint[],
  e_item int[], e_kind text[], e_op int[], e_key text[], e_value text[], e_number double precision[], e_extra text[]
) returns table (item int, outcome text)
language plpgsql as $$
-- plans: index only
#variable_conflict use_column
declare
  v_kinds text[] := array(select distinct k from unnest(e_kind) k);
  v_items int[] := '{}';
  v_facts text[] := '{}';
  v_item int[];
  v_op int[];
  v_key text[];
  v_value text[];
  v_number double precision[];
  v_chain bigint[];
  v_hints text[] := '{}';
  v_taken text[] := '{}';
  v_row record;
begin
  if v_kinds && '{child}' then
    for v_row in
      select s.* from start_children(p_thread_no, e_item, e_kind, e_op, e_key, e_value, e_extra) s
    loop
      if v_row.op is null then
        v_hints := v_hints || v_row.hint::text;
      else
        v_items := v_items || v_row.item::int;
        v_facts := v_facts || format('[%s,"duplicate",%s]', v_row.op, to_json(v_row.hint));
      end if;
    end loop;
  end if;
  if v_kinds && '{hook}' then
    for v_row in
      select s.* from start_hooks(p_thread_no, e_item, e_kind, e_op, e_key, e_value, e_extra) s
    loop
      if v_row.op is null then
        v_hints := v_hints || v_row.word::text;
      elsif not v_row.hooked then
        v_items := v_items || v_row.item::int;
        v_facts := v_facts || format('[%s,"unhooked",%s]', v_row.op, to_json(v_row.word));
        for i in 1 .. cardinality(e_kind) loop       -- nobody would send what it waits for
          if e_kind[i] = 'wait' and e_item[i] = v_row.item and e_op[i] = v_row.op then
            e_kind[i] := 'no wait';
            v_taken := v_taken || e_key[i];
          end if;
        end loop;
      elsif not v_row.awaited then
        v_items := v_items || v_row.item::int;
        v_facts := v_facts || format('[%s,"hooked",%s]', v_row.op, to_json(v_row.word));
      end if;
    end loop;
  end if;
  if v_kinds && '{signal}' then
    select array_agg(u.item order by n), array_agg(u.op order by n), array_agg(u.k order by n), array_agg(u.v order by n),
      array_agg(u.num order by n), array_agg(u.x::bigint order by n)
    into v_item, v_op, v_key, v_value, v_number, v_chain
    from unnest(e_item, e_kind, e_op, e_key, e_value, e_number, e_extra) with ordinality u (item, kind, op, k, v, num, x, n)
    where u.kind = 'signal';
    select d.* into v_row from deliver_signals(
      p_locked, v_key, v_key, v_chain, v_value, v_number) d;
    v_hints := v_hints || v_row.hints;
    for i in 1 .. cardinality(v_item) loop
      if v_row.statuses[i] <> 'delivered' then
        v_items := v_items || v_item[i];
        v_facts := v_facts || format('[%s,"%s"]', v_op[i], v_row.statuses[i]);
      end if;
    end loop;
  end if;
  if v_kinds && '{wait}' then
    insert into wait (thread_no, chain_no, op, signal_id)
    select t.thread_no, e.chain_no, u.op, u.k
    from unnest(e_item, e_kind, e_op, e_key) with ordinality u (item, kind, op, k, n)
    cross join lateral (select x.thread_no, x.run_no from thread x where x.thread_no = p_thread_no[u.item] offset 0) t
    cross join lateral (select x.chain_no from execution x where x.run_no = t.run_no offset 0) e
    where u.kind = 'wait'
    order by u.n;
    for v_row in
      select u.item, u.k, b.op, b.payload
      from take_buffered_signals(
        array(select p_thread_no[u.item] from unnest(e_item, e_kind) with ordinality u (item, kind, n) where u.kind = 'wait' order by n),
        array(select u.op from unnest(e_kind, e_op) with ordinality u (kind, op, n) where u.kind = 'wait' order by n)) b
      join unnest(e_item, e_kind, e_op, e_key) u (item, kind, op, k)
        on u.kind = 'wait' and p_thread_no[u.item] = b.thread_no and u.op = b.op
    loop
      v_items := v_items || v_row.item::int;
      v_taken := v_taken || v_row.k::text;
      v_facts := v_facts || ('[' || v_row.op || ',"signal"' || coalesce(',' || v_row.payload, '') || ']');
    end loop;
  end if;
  if v_taken <> '{}' then
    perform forget_rendezvous(v_taken);
  end if;
  if v_kinds && '{search,entity}' then
    for v_row in select d.* from apply_documents(p_thread_no, e_item, e_kind, e_op, e_key, e_value, e_extra) d
    loop
      v_items := v_items || v_row.item::int;
      v_facts := v_facts || v_row.fact::text;
    end loop;
  end if;
  return query
  select f.item, '[' || string_agg(f.fact, ',') || ']' from unnest(v_items, v_facts) f (item, fact) group by f.item;
  return query
  select 0, array_to_string(v_hints, ',') where v_hints <> '{}';
end $$;
