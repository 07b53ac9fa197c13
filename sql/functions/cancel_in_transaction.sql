-- Asks a workflow to cancel, in a caller's transaction. p_mark, and what is answered besides 'asked' and 'inactive' (unknown
-- or ended): see start_in_transaction.
-- Locks: as cancel; held until the caller's transaction ends.
create or replace function cancel_in_transaction(p_mark text, p_workflow_id text, p_chain_no bigint) returns text
language plpgsql as $$
declare
  v_answer record;
begin
  if left_mark(p_mark) is false then
    return 'outside';
  end if;
  for v_attempt in 1 .. 10 loop
    begin
      select c.found, c.hints into v_answer from cancel(true, p_workflow_id, p_chain_no) c;
      perform tell_with_commit(v_answer.hints);
      return case when v_answer.found then 'asked' else 'inactive' end;
    exception
      when serialization_failure or deadlock_detected then null;
      when lock_not_available then exit;
    end;
  end loop;
  return 'held';
end $$;
