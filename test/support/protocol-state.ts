/**
 * What is in the database, told in names instead of numbers and without times: two runs of the same calls in the same
 * order read the same, however they came about.
 */

import { SCHEMA, type Session } from './protocol-session.js';

export type State = Record<string, readonly Record<string, unknown>[]>;

const VIEWS: Record<string, string> = {
  executions: `
    select e.workflow_id || '/' || e.run as run, e.state, e.cause, e.cancel_requested as cancel, e.args, e.pause_reason as paused,
      e.lineage is not null as copied, p.name as parent, e.parent_op as op, e.due_at is not null as due, e.on_parent_close as closes
    from execution e left join named p on p.thread_no = e.parent_thread order by 1`,
  threads: `
    select n.name as thread, t.state, w.worker_key as owner, t.epoch, t.ready_at is not null as claimable,
      t.blocked_on, t.blocked_reason as reason, t.paused, t.resume_at is not null as later
    from thread t join named n using (thread_no) left join worker w on w.worker_no = t.owner order by 1`,
  hooks: `
    select n.name as thread, k.state, o.name as opener, k.opener_op as op, k.hook_no as no, k.args, k.signal_id as signal, k.config
    from hook k join named n using (thread_no) left join named o on o.thread_no = k.opener_thread order by 1`,
  history: `
    select n.name as thread, h.seq, w.worker_key as worker, h.epoch, h.closes, h.body, h.outcome, h.result,
      h.opened_count as opened, h.resolved
    from history h join named n using (thread_no) left join worker w using (worker_no) order by 1, h.seq`,
  inbox: `
    select n.name as thread, i.kind, i.op, i.signal_id as signal, i.payload, w.worker_key as worker
    from inbox i join named n using (thread_no) left join worker w using (worker_no) order by 1, i.inbox_no`,
  timers: 'select n.name as thread, m.op from timer m join named n using (thread_no) order by 1, 2',
  waits: `
    select w.signal_id as signal, n.name as thread, w.op from wait w join named n using (thread_no) order by w.signal_id, w.wait_no`,
  signals: `
    select s.signal_id as signal, n.name as chain, s.payload, s.returned
    from signal s left join named n on n.thread_no = s.chain_no order by s.signal_id, s.signal_no`,
  tasks: `
    select n.name as thread, a.op, a.name, a.attempt, a.losses, a.epoch, a.ready_at is not null as claimable,
      w.worker_key as owner, a.outside, a.details, a.last_failure as failure, a.expires_at is not null as limited
    from activity_task a join named n using (thread_no) left join worker w on w.worker_no = a.owner order by 1, 2`,
  documents: `
    select n.name as run, d.search, d.entity from document d join named n on n.thread_no = d.run_no
    where d.search is not null or d.entity is not null -- an empty one means nothing
    order by 1`,
  workers: `
    select w.worker_key as worker, w.died_at is not null as dead, w.released_at is not null as released
    from worker w order by 1`,
  emissions: `
    select m.emission_no as no, n.name as run, m.topic, m.payload from emission m join named n on n.thread_no = m.run_no order by 1`,
  terminations: `
    select n.name as chain, x.whole, x.failure, x.expire_s as expires from termination x join named n on n.thread_no = x.chain_no order by 1`,
  pruning: `
    select u.runs, u.threads from (
      select (select count(*) from pruning p, unnest(p.runs) r join execution e on e.run_no = r) as runs,
        (select count(*) from pruning p, unnest(p.threads) t) as threads) u`,
  requests: `
    select x.answer from (select * from request_0 union all select * from request_1) x order by 1`,
};

const NAMED = `
  select t.thread_no, e.workflow_id || '/' || e.run
    || case when t.thread_no = t.run_no then '' else '#' || rank() over (partition by t.run_no order by t.thread_no) end as name
  from thread t join execution e using (run_no)`;

const QUERY = `
  with named as (${NAMED.trim()})
  select json_build_object(${Object.entries(VIEWS)
    .map(([name, view]) => `'${name}', (select coalesce(json_agg(x), '[]') from (${view.trim()}) x)`)
    .join(', ')}) as state`
  // Names of our tables only, so that no session needs a path.
  .replace(
    /\b(from|join|from \() ?(execution|thread|hook|history|inbox|timer|wait|signal|activity_task|document|emission|termination|pruning|worker|request_0|request_1)\b/g,
    `$1 ${SCHEMA}.$2`,
  );

export async function stateOf(session: Session): Promise<State> {
  const [row] = await session.sql<{ state: string }>(QUERY);
  return JSON.parse(row?.state ?? '{}') as State;
}
