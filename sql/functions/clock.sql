-- The one clock of the engine. Tests replace it to move time in the database.
create or replace function clock() returns timestamptz
language sql volatile as $$ select pg_catalog.clock_timestamp() $$;
