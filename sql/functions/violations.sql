-- What SQL can decide of the invariants (docs/architecture.md); one row per violation, none in a healthy database.
-- One statement, hence one snapshot. p_grace_s: how long after a fault owned threads and due timers may lag (I7, I19).
create or replace function violations(p_grace_s double precision default 15) returns table (name text, what text)
language sql stable as $$
with
setting as (select clock() as at, p_grace_s * interval '1 s' as grace),
h as (
  select x.*, array_remove(x.resolved || coalesce(x.resolved_more, '{}'), null) as ops_resolved,
    array(select generate_series(x.opened_from, x.opened_from + x.opened_count - 1)) as ops_opened
  from history x
),
opened as (select thread_no, seq, unnest(ops_opened) as op from h),
resolved as (select thread_no, seq, unnest(ops_resolved) as op from h),
source as (                                          -- what can still wake an operation
  select thread_no, op from activity_task
  union all select thread_no, op from timer
  union all select thread_no, op from wait
  union all select parent_thread, parent_op from execution where state = 'open' and parent_thread is not null
)
select 'I1 history has a gap or a false predecessor', thread_no || '/' || seq from (
  select thread_no, seq, previous_commit_no, lag(seq) over w as before, lag(commit_no) over w as before_commit
  from h window w as (partition by thread_no order by seq)) x
where seq <> coalesce(before + 1, 0) or previous_commit_no is distinct from before_commit
union all
select 'I2 an operation is opened twice', thread_no || '/' || op from opened group by thread_no, op having count(*) > 1
union all
select 'I2 an operation is resolved twice', thread_no || '/' || op from resolved group by thread_no, op having count(*) > 1
union all
select 'I3 resolved before it was opened', r.thread_no || '/' || r.op from resolved r
where not exists (select from opened o where o.thread_no = r.thread_no and o.op = r.op and o.seq < r.seq)
union all
select 'I4 an entry follows the closing one, or an epoch goes back', thread_no || '/' || seq from (
  select *, lead(seq) over w as next, lag(epoch) over w as before from h window w as (partition by thread_no order by seq)) x
where closes and next is not null or before > epoch
union all
select 'I4 a thread is done without a closing entry, or closed and not done', t.thread_no::text from thread t
where t.state not in ('pending') and (t.state = 'done') <> exists (select from history x where x.thread_no = t.thread_no and x.closes)
union all
select 'I5 continued without a next run, or runs without their first', e.workflow_id || '/' || e.run from execution e
left join execution n on n.workflow_id = e.workflow_id and n.run = e.run + 1
where e.state not in ('continued', 'pruned') and n.cause = 'continued'
   or e.state = 'continued'                          -- those in between may have been pruned
     and not exists (select from execution n where n.workflow_id = e.workflow_id and n.run > e.run and n.chain_no = e.chain_no)
   or (e.state in ('open', 'pending')) <> (e.closed_at is null)
   or e.cause = 'start' and e.run > 0
   or not exists (select from execution f where f.workflow_id = e.workflow_id and f.run = 0)
   or not exists (select from execution f where f.workflow_id = e.workflow_id and f.run_no = e.chain_no)
union all
select 'I5 execution and main thread disagree', e.workflow_id || '/' || e.run from execution e
left join thread t on t.thread_no = e.run_no
where (e.state in ('open', 'pending')) <> (t.state <> 'done') or (e.state = 'pruned') <> (t.thread_no is null)
union all
select 'I7 a thread is stuck', t.thread_no || ' ' || t.state from execution e join thread t using (run_no), setting
where e.state = 'open' and case t.state
  when 'done' then t.thread_no <> t.run_no
  when 'ready' then t.ready_at is not null
  when 'blocked' then t.blocked_reason is not null
  when 'paused' then t.paused
  when 'owned' then exists (
    select from worker w where w.worker_no = t.owner and w.released_at is null and w.lease_until > at - grace)
  when 'parked' then cardinality(t.blocked_on) > 0 and not exists (
    select from unnest(t.blocked_on) b
    where not exists (select from source s where s.thread_no = t.thread_no and s.op = b))
  end is not true
union all
select 'I7 a parked thread sleeps past its timer', t.thread_no::text from thread t
where t.state = 'parked'
  and t.ready_at is distinct from (select min(m.due_at) from timer m where m.thread_no = t.thread_no)
union all
select 'I7 a suspect that is never tried', t.thread_no::text from thread t
where t.state = 'blocked' and t.excluded is null
  and not exists (select from suspect s where s.thread_no = t.thread_no and s.state = 'waiting')
union all
select 'I8 a parked thread has mail', t.thread_no::text from thread t
where t.state = 'parked' and exists (select from inbox i where i.thread_no = t.thread_no)
union all
select 'I9 an open operation is missing from blocked_on', o.thread_no || '/' || o.op from opened o join thread t using (thread_no)
where t.state = 'parked' and not o.op = any(coalesce(t.blocked_on, '{}'))
  and not exists (select from resolved r where r.thread_no = o.thread_no and r.op = o.op)
union all
select 'I10 a commit after the worker''s death', h.thread_no || '/' || h.seq from h join worker w using (worker_no)
where h.at > w.died_at
union all
select 'I17 a task of an operation that is resolved or was never opened', a.thread_no || '/' || a.op from activity_task a
where not exists (select from opened o where o.thread_no = a.thread_no and o.op = a.op)
   or exists (select from resolved r where r.thread_no = a.thread_no and r.op = a.op)
union all
select 'I17 a task that nobody can take', a.thread_no || '/' || a.op from activity_task a join thread t using (thread_no)
where a.owner is null and not a.outside and case
  when a.service_no <> 0 then a.ready_at is null and not t.paused
  else a.ready_at is not null
    or t.state = 'parked' and not exists (select from timer m where m.thread_no = a.thread_no and m.op = a.op) end
union all
select 'I19 an activity is past a time limit, or that is looked at too late', a.thread_no || '/' || a.op
from activity_task a, setting
where coalesce(a.expires_at, 'infinity') > coalesce(task_expiry(a), 'infinity') or a.expires_at < at - grace
union all
select 'I19 a timer is overdue or belongs to a closed thread', m.thread_no || '/' || m.op
from timer m join thread t using (thread_no), setting
where t.state = 'done' or t.state <> 'blocked' and not t.paused and m.due_at < at - grace
union all
select 'I22 a buffered signal beside its waiter', s.signal_no::text from signal s join wait w using (signal_id), setting
where not s.returned and s.expires_at > at and (s.chain_no is null or s.chain_no = w.chain_no)
union all
select 'I25 a finished child whose parent never heard', c.workflow_id || '/' || c.run
from execution c join thread p on p.thread_no = c.parent_thread
where p.state <> 'done' and c.state not in ('open', 'pending', 'continued')
  and not exists (select from inbox i where i.thread_no = c.parent_thread and i.op = c.parent_op)
  and not exists (select from resolved r where r.thread_no = c.parent_thread and r.op = c.parent_op)
union all
select 'I27 an emitted event without its run, or at a position that was not given', m.emission_no::text from emission m, setting
where m.emission_no > (select last from emission_counter)
   or (m.expires_at is null or m.expires_at > at)
     and not exists (select from execution e where e.run_no = m.run_no and e.chain_no = m.chain_no)
union all
select 'I31 a terminated chain whose children were left alone', n.chain_no::text from termination n, setting where n.asked_at < at - grace
union all
select 'I31 the children of an open chain are to end', n.chain_no::text from termination n
where exists (select from execution e where e.chain_no = n.chain_no and e.state in ('open', 'pending'))
union all
select 'I33 an open run is not the newest of its id', o.workflow_id || '/' || o.run from execution o
where o.state in ('open', 'pending')
  and exists (select from execution n where n.workflow_id = o.workflow_id and n.run > o.run)
union all
select 'I34 a run has outlived its timeout, or has ended and still has one due', e.workflow_id || '/' || e.run
from execution e, setting
where case when e.state in ('open', 'pending') then e.due_at < at - grace else e.due_at is not null end
   or e.state = 'open' and e.due_at > e.chain_due_at
union all
select 'I35 a child outlives its parent against its policy', c.workflow_id || '/' || c.run
from execution c
where c.on_parent_close is not null and c.state in ('open', 'pending')
  and not exists (select from execution p where p.chain_no = c.parent_chain and p.state in ('open', 'pending'))
  and not exists (select from termination n where n.chain_no = c.parent_chain)
union all
select 'I32 a thread is neither a main one nor a hook, or both', t.thread_no::text
from thread t left join hook k using (thread_no)
where (t.thread_no = t.run_no) <> (k.thread_no is null) or k.run_no <> t.run_no
union all
select 'I32 a hook and its thread disagree, or it outlives its run', t.thread_no || ' ' || k.state
from hook k join thread t using (thread_no) left join execution e on e.run_no = t.run_no
where (k.state = 'open') <> (t.state <> 'done') or t.state <> 'done' and coalesce(e.state, '') <> 'open'
union all
select 'I32 somebody awaits a hook that failed', k.thread_no::text
from hook k join wait w on w.thread_no = k.opener_thread and w.op = k.opener_op
where k.state not in ('open', 'completed')
union all
select 'I37 a run and its threads do not agree about being paused', t.thread_no || ' ' || t.state
from execution e join thread t using (run_no)
where t.paused <> (e.paused_at is not null and t.state <> 'done') or e.paused_at is not null and e.state <> 'open'
union all
select 'I37 a paused thread may go on, or its owner was not told', t.thread_no || ' ' || t.state from thread t
where t.paused and case t.state
    when 'paused' then t.owner is not null or t.ready_at is not null
    when 'owned' then not exists (select from inbox i where i.thread_no = t.thread_no and i.kind = 'pause')
    else true end
  or not t.paused and (t.state = 'paused' or exists (
    select from inbox i where i.thread_no = t.thread_no and i.kind = 'pause'))
union all
select 'I39 a worker of a scoped role serves what it was not granted', w.worker_no::text
from worker w
where w.scoped and w.died_at is null and exists (
  select from unnest(w.services) n join service s on s.service_no = n
  where not exists (
    select from worker_role r
    where r.role_name = w.role and (r.revoked_at is not null or is_served(r.stream_names, s.kind, s.task_queue))))
union all
select 'I39 a worker of a scoped role owns a thread that it does not serve', t.thread_no::text
from thread t join worker w on w.worker_no = t.owner
where w.scoped and not t.service_no = any(w.services)
union all
select 'I36 a copied history differs from what it was copied from', n.thread_no || '/' || n.seq
from execution e
cross join lateral json_to_recordset(e.lineage::json) l (entries int, thread bigint)
join history n on n.thread_no = e.run_no and n.seq < l.entries
join history o on o.thread_no = l.thread and o.seq = n.seq
where e.lineage is not null and (o.commit_no, o.body) is distinct from (n.commit_no, n.body)
  and not exists (
    select from json_to_recordset(e.lineage::json) b (entries int) where b.entries > n.seq and b.entries < l.entries)
union all
select 'I28 a row without its thread', x.kind || ' ' || x.thread_no from (
  select 'history' as kind, thread_no from history union all select 'inbox', thread_no from inbox
  union all select 'timer', thread_no from timer union all select 'wait', thread_no from wait
  union all select 'task', thread_no from activity_task union all select 'hook', thread_no from hook) x
where not exists (select from thread t where t.thread_no = x.thread_no)
  and not (x.kind = 'history' and exists (select from pruning p where x.thread_no = any(p.threads)))
union all
select 'I38 a stripped run that no other one needs', e.workflow_id || '/' || e.run from execution e
where e.state = 'pruned' and not is_needed(e)
union all
select 'I38 a run that has ended and will never be pruned', e.workflow_id || '/' || e.run
from execution e join thread t on t.thread_no = e.run_no
where e.closed_at is not null and e.expire_s is distinct from 0
  and not exists (select from pruning p where e.run_no = any(p.runs))
union all
select 'I28 a document without its run', d.run_no::text from document d
where not exists (select from execution e where e.run_no = d.run_no)
union all
select 'I28 a closed thread left something behind', x.kind || ' ' || x.thread_no from (
  select 'inbox' as kind, thread_no from inbox union all select 'wait', thread_no from wait
  union all select 'task', thread_no from activity_task) x
join thread t on t.thread_no = x.thread_no where t.state = 'done'
$$;
