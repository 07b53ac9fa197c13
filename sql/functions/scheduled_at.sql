-- When an operation was opened, by the database's clock.
create or replace function scheduled_at(p_thread_no bigint, p_op int) returns timestamptz
language sql stable as $$
-- plans: index only
  select h.at from history h
  where h.thread_no = p_thread_no and h.opened_from <= p_op and p_op < h.opened_from + h.opened_count
$$;
