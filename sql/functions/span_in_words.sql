-- A span of time as people say it: `340 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`. A negative one counts as 0, null is null.
create or replace function span_in_words(p_span interval) returns text
language sql immutable strict as $$
  select case
    when s < 1 then round(s * 1000) || ' ms'
    when s < 60 then round(s) || ' s'
    when s < 3600 then format('%s min %s s', floor(s / 60), floor(mod(s, 60)))
    when s < 86400 then format('%s h %s min', floor(s / 3600), floor(mod(s, 3600) / 60))
    else format('%s d %s h', floor(s / 86400), floor(mod(s, 86400) / 3600))
  end
  from (select greatest(extract(epoch from p_span), 0) as s) x
$$;
