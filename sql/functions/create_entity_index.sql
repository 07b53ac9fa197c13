-- Makes the index by which find_entities looks up documents by the value of a top-level field. Idempotent.
-- A GIN index of paths stores hashes, so no value is too long for it. Writers of documents wait while it is built; to wait
-- for them behind a long transaction would hold up all others, so this gives up after 100 ms (55P03) and is sent again.
-- Locks: the table, first against others who make an index, then against writers.
create or replace function create_entity_index(p_field text) returns void
language plpgsql as $$
begin
  perform begin_write(false);
  lock table document in share update exclusive mode;
  execute format('create index if not exists %I on document using gin ((entity -> %L) jsonb_path_ops)',
    'document_entity_' || md5(p_field), p_field);
  -- without statistics of its expression the planner guesses what an index finds
  analyze document;
end $$;
