-- Stores the answers of requests that remember_requests took in this transaction.
create or replace function answer_requests(p_request_no bigint[], p_answer text[]) returns void
language plpgsql as $$
-- plans: index only
begin
  update request_0 r set answer = u.answer from unnest(p_request_no, p_answer) u (request_no, answer)
  where r.request_no = u.request_no and r.answer is null;
  update request_1 r set answer = u.answer from unnest(p_request_no, p_answer) u (request_no, answer)
  where r.request_no = u.request_no and r.answer is null;
end $$;
