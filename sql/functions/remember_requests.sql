-- Which of these requests were answered before: their answers, null for new ones, which are remembered from now on.
-- A retry whose original is under way waits for it here (unique key) and then finds the answer, in a later statement:
-- one statement would look with a snapshot older than that commit.
-- Locks: the slot row (shared), the new request rows.
create or replace function remember_requests(p_request_no bigint[]) returns text[]
language plpgsql as $$
-- plans: index only
declare
  v_slot int;
  v_new bigint[];
begin
  select s.slot into v_slot from request_slot s for key share;
  if v_slot = 0 then
    with made as (
      insert into request_0 (request_no)
      select u from unnest(p_request_no) u where not exists (select from request_1 r where r.request_no = u) order by u
      on conflict do nothing returning request_no)
    select array_agg(request_no) into v_new from made;
  else
    with made as (
      insert into request_1 (request_no)
      select u from unnest(p_request_no) u where not exists (select from request_0 r where r.request_no = u) order by u
      on conflict do nothing returning request_no)
    select array_agg(request_no) into v_new from made;
  end if;
  if cardinality(v_new) = cardinality(p_request_no) then
    return array_fill(null::text, array[cardinality(p_request_no)]);
  end if;
  return array(
    select coalesce(a.answer, b.answer) from unnest(p_request_no) with ordinality u (request_no, n)
    left join request_0 a on a.request_no = u.request_no
    left join request_1 b on b.request_no = u.request_no
    order by u.n);
end $$;
