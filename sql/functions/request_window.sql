-- How long a call whose answer was lost may be sent again. What its second execution is recognised by is kept so long:
-- remembered requests, and the rows of runs that have ended. Soaks replace it.
create or replace function request_window() returns interval
language sql stable as $$ select interval '10 minutes' $$;
