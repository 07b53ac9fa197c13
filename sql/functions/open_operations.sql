-- The operations of a thread that its history opened and has not resolved yet.
create or replace function open_operations(p_thread_no bigint) returns int[]
language sql stable as $$
  select array(
    select o from history h, generate_series(h.opened_from, h.opened_from + h.opened_count - 1) o where h.thread_no = p_thread_no
    except (
      select h.resolved from history h where h.thread_no = p_thread_no
      union all select unnest(h.resolved_more) from history h where h.thread_no = p_thread_no)
    order by 1)
$$;
