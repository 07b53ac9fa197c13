-- The numbers of services, in the order asked; makes the missing ones. Services are few and are never deleted.
create or replace function ensure_services(p_kind text[], p_task_queue text[], p_name text[]) returns int[]
language plpgsql as $$
-- plans: index only
declare
  v_numbers int[];
begin
  loop
    select array_agg(s.service_no order by u.n) into v_numbers
    from unnest(p_kind, p_task_queue, p_name) with ordinality u (kind, task_queue, name, n)
    left join service s on s.kind = u.kind and s.task_queue = u.task_queue and s.name = u.name;
    exit when v_numbers is null or array_position(v_numbers, null) is null;
    insert into service (kind, task_queue, name)
    select distinct u.kind, u.task_queue, u.name
    from unnest(p_kind, p_task_queue, p_name) u (kind, task_queue, name)
    where not exists (
      select from service s where s.kind = u.kind and s.task_queue = u.task_queue and s.name = u.name)
    order by 1, 2, 3
    on conflict do nothing;
  end loop;
  return coalesce(v_numbers, '{}');
end $$;
