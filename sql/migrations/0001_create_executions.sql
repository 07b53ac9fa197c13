-- The data model. docs/architecture.md tells it as a picture; this file is the truth.
--
-- Numbers, not names, connect the rows: a run, a thread, a worker and a service have a number each, and the text of
-- a workflow id stands only in `execution` (with text keys a step cost 803 bytes of WAL, with numbers 328).
-- A main thread carries the number of its run. Payloads are opaque text: SQL never looks into them, and jsonb would
-- refuse or change some of them ("\u0000", "\ud800", the spelling of numbers).
-- No foreign keys on the hot tables: each would lock a parent row per insert. violations() watches the links instead.

create sequence run_number as bigint;

-- Who can be asked to run something: a workflow function on a queue, or the activities of a queue (name '').
create table service (
  service_no int generated always as identity primary key,
  kind text not null,
  task_queue text collate "C" not null,
  name text collate "C" not null,
  unique (kind, task_queue, name)
);

-- A worker process. One lease covers all it owns. Dead rows stay a day, so that late commits can be told.
create table worker (
  worker_no int generated always as identity primary key,
  worker_key text collate "C" not null unique,     -- made by the process, so that a repeated register finds its row
  description text not null,                       -- host and process, for people
  services int[] not null default '{}',
  role text collate "C" not null default session_user,  -- who registered it: nobody else acts through this row
  scoped boolean not null default false,           -- by a worker role, which has no more than its grants: see worker_role
  registered_at timestamptz not null,
  lease_until timestamptz not null,
  died_at timestamptz,
  retired boolean not null default false,          -- it said so itself: its process lives, or ended in order
  released_at timestamptz,                         -- set when nothing belongs to the dead worker any more
  schema_version int                               -- that its library brings along; null: it does not say
) with (fillfactor = 50);

-- Roles that may do a worker's work on some queues and nothing else: docs/roles.md. By oid, since a role that was dropped and made
-- again under its name is another one. A stream name is a task queue, for its workflows, or a task queue and '-activity'.
create table worker_role (
  role_no int generated always as identity primary key,
  role_oid oid not null unique,
  role_name text collate "C" not null,
  stream_names text[] not null,                    -- what it serves
  call_names text[] not null,                      -- what it may start work on beside that
  signals boolean not null,                        -- whether its workflows may signal whoever waits in the namespace
  created_at timestamptz not null,
  revoked_at timestamptz,
  last_rotated_at timestamptz
);

-- Other roles and what they are for: grant_access. Kept to be renewed behind an upgrade.
create table access_role (
  role_oid oid not null,
  role_name text collate "C" not null,
  kind text not null,                              -- client worker observer dashboard
  primary key (role_oid, kind)
);

create index worker_unreleased on worker (lease_until) where released_at is null;

create table execution (
  run_no bigint primary key,
  chain_no bigint not null,                        -- run_no of the first run; a handle and a targeted signal are bound to it
  request_no bigint not null,                      -- random, made by the starter: recognises its retry, seeds random()
  parent_thread bigint,                            -- the thread and the operation that await the outcome
  parent_op int,
  parent_chain bigint,                             -- the chain whose code started it, whether it awaits it or not
  run int not null,                                -- 0, 1, ... within the workflow id
  service_no int not null,
  expire_s double precision,                       -- how long it stays readable once finished; null = default, 0 = for ever
  created_at timestamptz not null,
  closed_at timestamptz,
  paused_at timestamptz,                           -- set exactly while it is paused
  start_at timestamptz,                            -- startDelay: when it may first be claimed; null: at once
  due_at timestamptz,                              -- when housekeeping ends it: a reservation lapses, a timeout is over; null once it has ended
  chain_due_at timestamptz,                        -- when the chain's timeout is over; goes along to the next run
  run_timeout_ms double precision,                 -- of this run, and of the next
  signal_in boolean not null,
  cancel_requested boolean not null,
  workflow_id text collate "C" not null,
  state text not null,                             -- pending open | completed failed cancelled terminated continued | pruned (others rest on its row)
  cause text not null,                             -- start continued reused reset retried
  args text not null,
  config text,                                     -- the retry policy of the function, as JSON
  parent_workflow_id text,                         -- lineage, for people
  origin_id text,
  pause_reason text,
  cause_reason text,                               -- what was said when it was reset or retried
  lineage text,                                    -- of a run with copied history: whose it was, see src/core/lineage.ts
  entity text,
  trace text,                                      -- W3C trace context that its spans belong to; null: nobody traces
  on_parent_close text,                            -- terminate | cancel; null: it outlives the chain that started it
  unique (workflow_id, run)
) with (fillfactor = 50);                           -- its end is written beside its beginning: no index changes, and no page more

create index execution_children on execution (parent_thread, parent_op) where parent_thread is not null;
create index execution_of_chain on execution (parent_chain) where parent_chain is not null;
create index execution_of_parent on execution (parent_workflow_id) where parent_workflow_id is not null;
create index execution_of_entity on execution (entity, run_no) where entity is not null;
-- Both hold the few rows that need them: the end of any other run changes nothing in them, so its update stays within its page.
create index execution_due on execution (due_at) where due_at is not null;
create index execution_dependent on execution (parent_chain) where on_parent_close is not null;

-- What the threads of a run share: its search fields and its entity document, as plain jsonb, since SQL computes on them.
-- A row exists from their first use on. continueAsNew moves it to the next run. Apart from the execution, whose row would
-- be written again with each change, under a lock that nobody else needs.
create table document (
  run_no bigint primary key,
  search jsonb,                                    -- text by field
  entity jsonb                                     -- an object
) with (fillfactor = 50);

-- Chains that have ended and whose children are to end, or to be cancelled, too: work that outlives whoever asked for it.
create table termination (
  chain_no bigint primary key,
  asked_at timestamptz not null,
  whole boolean not null,                          -- all children, and theirs; else those that asked for it (on_parent_close)
  expire_s double precision,
  failure text
);

-- Runs that have ended, and from when on they are pruned: one row per closing commit, not per run, and no index on
-- `execution`, whose closing update would then write all its indexes. Also threads of pruned runs whose history is still
-- being deleted. See prune.
create table pruning (
  due_at timestamptz not null,
  runs bigint[] not null,
  threads bigint[] not null default '{}'
);

create index pruning_due on pruning (due_at);

-- Whether runs are archived before they are pruned: then only workers that can do so prune. See set_archiving.
create table archiving (is_on boolean not null);
insert into archiving values (false);

-- What is owned, parked, claimed and delivered to. `ready_at` is set exactly while a thread may be claimed (from that
-- moment on), so a sleeping thread is a row of one partial index and nothing else.
create table thread (
  thread_no bigint primary key,
  run_no bigint not null,
  claim_no bigint,
  ready_at timestamptz,
  service_no int not null,
  owner int,
  epoch int not null,                              -- counts claims; commits name it
  affinity int,                                    -- the worker that has it cached
  state text not null,                             -- pending ready owned parked blocked paused done
  blocked_on int[],                                -- open operations, written on parking only
  blocked_reason text,
  excluded int[],                                  -- workers whose code cannot run it
  paused boolean not null default false,           -- with its run; an owned one until its worker has given it up
  resume_at timestamptz                            -- of a paused one that was not to begin yet: when it may
) with (fillfactor = 50);

create index thread_claimable on thread (service_no, ready_at) where ready_at is not null;
create index thread_owned on thread (owner, claim_no) where owner is not null;
create index thread_of_run on thread (run_no);
create index thread_excluded on thread (service_no) where excluded is not null;

-- Threads that workers died with: what ends its process each time is found among them, and kept from it. A row goes when its
-- thread gets on. See count_deaths, try_suspect.
create table suspect (
  thread_no bigint primary key,
  service_no int not null,
  deaths int not null,                             -- in a row, without an entry in between
  last_seq int,                                    -- of its history at the last of them; null: none
  lost_with int,                                   -- the worker that died with it last
  tried_by int,                                    -- the worker that took it as its only suspect last
  since timestamptz not null,
  lost_at timestamptz not null,                    -- the last of them
  state text not null                              -- counted | waiting (to be tried) | tried | quarantined
);

create index suspect_waiting on suspect (service_no, lost_at, thread_no) where state = 'waiting';

-- What the further threads of a run are: functions opened beside the main one, each its thread's service.
create table hook (
  thread_no bigint primary key,
  run_no bigint not null,
  opener_thread bigint,                            -- the thread and the operation that await its signal: told when it fails
  opener_op int,
  request_no bigint,                               -- of the client that opened it: recognises its retry
  hook_no int not null,                            -- 0, 1, ... within the run
  state text not null,                             -- open | completed failed cancelled | ended (with its run)
  args text not null,
  signal_id text,                                  -- what its opener awaits; handed to the function as its last argument
  config text,                                     -- its retry policy, as JSON; null: the workflow's
  unique (run_no, hook_no)
) with (fillfactor = 85);

create unique index hook_request on hook (request_no) where request_no is not null;

-- One row per activation: the events delivered since the last commit, each with the commands that came out of it.
-- An entry names the commit of its predecessor; without it there it is refused: no gap, no mixture after a failover.
create table history (
  thread_no bigint not null,
  commit_no bigint not null,
  previous_commit_no bigint,
  at timestamptz not null,
  seq int not null,
  worker_no int not null,                          -- 0: ended from outside
  epoch int not null,
  opened_from int,                                 -- operations this entry opened: opened_from ... + opened_count - 1
  opened_count int,
  resolved int,                                    -- the operation this entry resolved,
  resolved_more int[],                             -- and any further ones
  closes boolean not null,
  body text not null,
  outcome text,                                    -- what the database decided about the commands of this entry
  result text,                                     -- the result or failure of the run, on its closing entry
  primary key (thread_no, seq)
);

-- Events for a thread that came from elsewhere. Inserted under the thread's lock, hence in order.
create table inbox (
  inbox_no bigint generated always as identity,
  thread_no bigint not null,
  signal_no bigint,                                -- of a signal: what it takes to put it back
  chain_no bigint,
  expires_at timestamptz,
  op int,
  worker_no int,                                   -- the thread's owner when it was delivered
  kind text not null,                              -- done fail signal cancel again
  signal_id text collate "C",
  payload text,
  primary key (thread_no, inbox_no)
);

create index inbox_of_worker on inbox (worker_no) where worker_no is not null;

create table timer (
  thread_no bigint not null,
  due_at timestamptz not null,
  op int not null,
  primary key (thread_no, op)
);

-- Who awaits which signal.
create table wait (
  wait_no bigint generated always as identity,
  thread_no bigint not null,
  chain_no bigint not null,
  op int not null,
  signal_id text collate "C" not null,
  primary key (thread_no, op)
);

create index wait_of_signal on wait (signal_id, wait_no);

-- Accepted signals that nobody awaits yet.
create table signal (
  signal_no bigint generated always as identity primary key,
  chain_no bigint,                                 -- null: for whoever waits in the namespace
  expires_at timestamptz not null,
  returned boolean not null,                       -- put back by a run that ended: may have a waiter, see return_signals
  signal_id text collate "C" not null,
  payload text
);

create index signal_of_id on signal (signal_id, signal_no);
create index signal_of_chain on signal (chain_no) where chain_no is not null;
create index signal_returned on signal (signal_no) where returned;
create index signal_expiry on signal (expires_at);

-- How many of them may be kept under one id, or for one workflow; null: any number. See limit_kept_signals.
create table signal_quota (kept int);
insert into signal_quota values (10000);

-- The meeting place of a waiter and a sender in the namespace: both lock the row of the signal id, the waiter shared,
-- the sender alone. The row means nothing; it may be deleted whenever nobody holds it.
create table rendezvous (
  signal_id text collate "C" primary key
);

-- Activities that do not run eagerly in the process that scheduled them. One whose function was brought along by the call
-- is *bound* to its thread: it has no service, is never claimed, and only the thread's owner takes it (take_step).
create table activity_task (
  thread_no bigint not null,
  claim_no bigint,
  ready_at timestamptz,                            -- set exactly while it may be claimed
  close_at timestamptz,                            -- when its scheduleToCloseTimeout is over
  started_at timestamptz,                          -- of the attempt under way; kept where there are limits
  beat_at timestamptz,                             -- of its last heartbeat
  expires_at timestamptz,                          -- when to look at its limits: never behind the earliest of them
  op int not null,
  service_no int not null,                         -- 0: bound
  owner int,
  epoch int not null,
  attempt int not null,                            -- 1, 2, ...: the attempt running or next to run
  losses int not null,                             -- attempts lost with their worker
  outside boolean not null default false,          -- its function has ended; the outcome comes by task token
  name text not null,
  input text not null,
  last_failure text,
  details text,                                    -- of its last heartbeat
  limits text,                                     -- time limits that the database keeps, and retries, as JSON
  primary key (thread_no, op)
) with (fillfactor = 70);

create index activity_task_claimable on activity_task (service_no, ready_at) where ready_at is not null;
create index activity_task_owned on activity_task (owner, claim_no) where owner is not null;
create index activity_task_expiry on activity_task (expires_at) where expires_at is not null;

-- Requests whose effect leaves no row of its own to recognise a retry by. Two tables, truncated in turn.
create table request_0 (request_no bigint primary key, answer text);
create table request_1 (request_no bigint primary key, answer text);
create table request_slot (slot int not null, since timestamptz not null);
insert into request_slot values (0, clock_timestamp());

-- Events that workflows emitted, kept for subscribers for a while. Positions are given under the lock of the counter,
-- which is held until the commit: whoever has read up to one has missed none before it.
create table emission (
  emission_no bigint primary key,                 -- its position
  chain_no bigint not null,
  run_no bigint not null,
  emitted_at timestamptz not null,
  expires_at timestamptz,                          -- null: never
  topic text collate "C" not null,
  payload text
);

create index emission_of_chain on emission (chain_no, emission_no);
create index emission_of_topic on emission (topic, emission_no);
create index emission_expiry on emission (expires_at) where expires_at is not null;

create table emission_counter (last bigint not null) with (fillfactor = 10);
insert into emission_counter values (0);

-- What people and reports look at, to be joined with tables of their own: docs/visibility.md says each column. Read-only:
-- grant_views() is the only grant beside functions. They show no payloads. What a run stripped of its history is, nobody sees.

create view runs as
select e.workflow_id, e.run, s.name as workflow_name, s.task_queue, e.state as status, e.cause, e.created_at as started_at,
  e.closed_at, e.due_at as times_out_at, e.paused_at, e.pause_reason, e.cancel_requested, e.entity, d.search, d.entity as entity_document,
  e.parent_workflow_id, e.origin_id, e.run_no, e.chain_no
from execution e
join service s on s.service_no = e.service_no
left join document d on d.run_no = e.run_no
where e.state <> 'pruned';

-- One row for each workflow id: its newest run.
create view workflows as
select r.* from runs r
where not exists (select from execution n where n.workflow_id = r.workflow_id and n.run > r.run);

create view threads as
select e.workflow_id, e.run, k.hook_no as hook, s.name as workflow_name, s.task_queue, t.state, t.owner as worker,
  t.ready_at, t.blocked_reason, t.paused, t.run_no, t.thread_no
from thread t
join execution e on e.run_no = t.run_no
join service s on s.service_no = t.service_no
left join hook k on k.thread_no = t.thread_no
where t.state <> 'done';

-- Those with a row of their own: one that runs in the process of its workflow gets it after a second, or when it fails.
create view activities as
select e.workflow_id, e.run, a.name as activity,
  case when a.service_no = 0 then null else s.task_queue end as task_queue,
  case when a.outside then 'outside' when a.owner is not null then 'running' else 'waiting' end as status,
  a.attempt, a.losses, a.ready_at as due_at, a.owner as worker, a.started_at, a.beat_at as heartbeat_at, t.run_no, a.thread_no, a.op
from activity_task a
join thread t on t.thread_no = a.thread_no
join execution e on e.run_no = t.run_no
left join service s on s.service_no = a.service_no;

create view timers as
select e.workflow_id, e.run, m.due_at, t.run_no, m.thread_no, m.op
from timer m
join thread t on t.thread_no = m.thread_no
join execution e on e.run_no = t.run_no;

create view signals_waiting as
select e.workflow_id, e.run, w.signal_id, m.due_at as times_out_at, t.run_no, w.thread_no, w.op
from wait w
join thread t on t.thread_no = w.thread_no
join execution e on e.run_no = t.run_no
left join timer m on m.thread_no = w.thread_no and m.op = w.op;

-- Sent, and awaited by nobody yet. Without workflow_id: for whoever waits in the namespace.
create view signals_kept as
select s.signal_id, (
    select e.workflow_id from execution e where e.run_no = s.chain_no) as workflow_id, s.expires_at, s.signal_no
from signal s;

create view workers as
select w.worker_no as worker, w.description, w.registered_at, w.lease_until, w.died_at,
  w.died_at is null and w.lease_until > clock_timestamp() as alive, s.task_queue, s.kind as serves,
  nullif(s.name, '') as workflow_name, w.schema_version
from worker w
left join service s on s.service_no = any (w.services);
