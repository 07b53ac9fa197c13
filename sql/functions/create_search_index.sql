-- Makes the index by which executions are found by the value of a search field, newest first: see execution_clause, which has
-- the same expressions. Idempotent. An entry of a B-tree holds 2,700 bytes at most, and an insert that exceeds them fails:
-- hence the first 256 characters. Not partial, though documents without the field need no entry: the planner has no statistics
-- of a partial index's expressions, and took 720 ms for a page that takes 1. Writers of documents wait while it is built; to
-- wait for them behind a long transaction would hold up all others, so this gives up after 100 ms (55P03) and is sent again.
-- Locks: the table, first against others who make an index, then against writers.
create or replace function create_search_index(p_field text) returns void
language plpgsql as $$
begin
  perform begin_write(false);
  lock table document in share update exclusive mode;
  execute format(
    'create index if not exists %1$I on document (left(search ->> %2$L, 256), run_no)',
    'document_search_' || md5(p_field), p_field);
  -- without statistics of its expression the planner guesses what an index finds
  analyze document;
end $$;
