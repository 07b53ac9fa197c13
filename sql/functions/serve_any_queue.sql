-- Does nothing. Whoever may execute it may serve every queue: see own_grants.
create or replace function serve_any_queue() returns void
language sql as $$ select $$;
