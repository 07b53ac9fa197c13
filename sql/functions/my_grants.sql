-- What the calling worker role was granted, as JSON {streams, calls, signals}; null for a role that may serve any queue.
-- Raises 42501 for one that may serve none.
create or replace function my_grants() returns text
language plpgsql stable as $$
declare
  v_grants worker_role := own_grants();
begin
  return case when v_grants.role_no is not null then json_build_object(
    'streams', v_grants.stream_names, 'calls', v_grants.call_names, 'signals', v_grants.signals)::text end;
end $$;
