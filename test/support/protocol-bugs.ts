/**
 * Bugs to plant into the functions, one at a time, each with the check that must turn red (reliability plan, 3d: the B
 * numbers). The text to replace is that of sql/functions: a bug that does not fit any more fails by name.
 */

import { hookBugs } from './hook-bugs.js';
import { idBugs } from './id-bugs.js';
import { operationBugs } from './operation-bugs.js';
import type { PausableDatabase } from './pause.js';
import type { PlantedBug } from './planted-bug.js';
import { SCHEMA } from './protocol-session.js';
import { pruneBugs } from './prune-bugs.js';
import { terminationBugs } from './termination-bugs.js';

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: 'B1 history has no key, between two sessions',
    before: `alter table ${SCHEMA}.history drop constraint history_pkey; create index history_pkey on ${SCHEMA}.history (thread_no, seq)`,
    after: `truncate ${SCHEMA}.history; drop index ${SCHEMA}.history_pkey; alter table ${SCHEMA}.history add primary key (thread_no, seq)`,
    edits: [],
    caughtBy: 'R15 a commit without effects / the same call again',
  },
  {
    name: 'B1 what was started here is taken for owned without a look at its claim',
    edits: [['start', ' and t.claim_no = p_claim_no and t.epoch = 1', '']],
    caughtBy: 'a start that is asked again says whose it is now',
  },
  {
    name: 'B2 the predecessor is not looked at',
    edits: [
      ['commit', 'and u.seq = coalesce(l.seq + 1, 0) and l.commit_no is not distinct from u.previous_commit_no', ''],
    ],
    caughtBy: 'an entry follows the one it builds on',
  },
  {
    name: 'B2 the predecessor is looked at by its place alone',
    edits: [['commit', ' and l.commit_no is not distinct from u.previous_commit_no', '']],
    caughtBy: 'an entry follows the one it builds on',
  },
  {
    name: 'B3 parked without looking at the inbox',
    edits: [['park', 'and not exists (select from inbox i where i.thread_no = t.thread_no)', '']],
    caughtBy: 'R1 park / a signal to anybody',
  },
  {
    name: 'B3 the inbox is looked at before the lock',
    edits: [
      [
        'park',
        'v_parked bigint[];\nbegin',
        'v_parked bigint[];\n  v_mail bigint[] := array(select i.thread_no from inbox i);\nbegin',
      ],
      [
        'park',
        'and not exists (select from inbox i where i.thread_no = t.thread_no)',
        'and not t.thread_no = any(v_mail)',
      ],
    ],
    caughtBy: 'R1 park / a signal to anybody',
  },
  {
    name: 'B4 a signal is delivered without the lock of the thread',
    edits: [
      [
        'signal',
        "-- a waiter registers under its thread's lock: keep it out\n    order by t.thread_no for no key update",
        '\n    order by t.thread_no',
      ],
    ],
    caughtBy: 'R1 park / a signal to anybody',
  },
  {
    name: 'B4 the outcome of a task is delivered without the lock of the thread',
    edits: [['finish_tasks', 'order by t.thread_no for no key update;', 'order by t.thread_no;']],
    caughtBy: 'R1 park / the end of a task',
  },
  {
    name: 'B4 the outcome of a child is delivered without the lock of its parent',
    edits: [['commit', 'union all select e.parent_thread from execution e where e.run_no = any(v_ending)', '']],
    caughtBy: 'R1 park / the end of a child',
  },
  {
    name: 'B4 a wait begins without the lock of its thread',
    edits: [['commit', "u.kind in ('wait', 'unwait', 'untask', 'own')", "u.kind in ('unwait', 'untask', 'own')"]],
    caughtBy: 'R6 a signal to the workflow / the wait for it',
  },
  {
    name: 'B4 cancel tells threads without their locks',
    edits: [['cancel', 'order by t.thread_no for no key update;', 'order by t.thread_no;']],
    caughtBy: 'R1 park / cancel',
  },
  {
    name: 'B5 commit does not look at the lease',
    edits: [['commit', 'v_scope := lock_lease(p_worker_no);', '']],
    caughtBy: 'a worker whose lease is over commits nothing',
  },
  {
    name: 'B5 the lease is looked at without a lock',
    edits: [['lock_lease', 'for key share', '']],
    caughtBy: 'R2 commit / the reaper',
  },
  {
    name: 'B6 the lease is looked at by the start of the transaction',
    edits: [['lock_lease', 'v_lease_until <= clock()', 'v_lease_until <= now()']],
    caughtBy: 'a lease that ends while a commit waits is over',
  },
  {
    name: 'B8 the reaper takes the living',
    edits: [
      ['reap', ' and x.lease_until < clock()', ''],
      ['reap', ' and w.lease_until < clock()', ''],
    ],
    caughtBy: 'the living keep what they own',
  },
  {
    name: 'B9 the reaper forgets tasks',
    edits: [
      [
        'release_dead_workers',
        'where thread_no = any(v_threads) and owner = any(v_dead)\n    returning service_no',
        'where false\n    returning service_no',
      ],
    ],
    caughtBy: 'the tasks of the dead are done by others, and counted',
  },
  {
    name: 'B11 a timer fires early',
    edits: [['commit', "u.kind = 'fire' and t.due_at > v_now", "u.kind = 'fire' and false"]],
    caughtBy: 'a timer fires when it is due, not earlier',
  },
  {
    name: 'B11 a sleeper is woken early',
    edits: [['claim', 'and t.ready_at <= v_now\n', "and t.ready_at <= v_now + interval '1 hour'\n"]],
    caughtBy: 'a timer fires when it is due, not earlier',
  },
  {
    name: 'B12 a timer that lost stays armed',
    edits: [['commit', "if e_kind[i] in ('untimer', 'fire') then", "if e_kind[i] = 'fire' then"]],
    caughtBy: 'a timer that lost is disarmed',
  },
  {
    name: 'B13 a waiter stays after its signal',
    edits: [['deliver_signals', 'delete from wait w where w.thread_no = v_wait.thread_no and w.op = v_wait.op;', '']],
    caughtBy: 'one signal reaches one waiter',
  },
  {
    name: 'B13 a kept signal stays after its delivery',
    edits: [['take_buffered_signals', 'delete from signal s where s.signal_no = v_signal_no;', '']],
    caughtBy: 'kept signals go out once, oldest first, and not when expired',
  },
  {
    name: 'B13 a kept signal is taken without its lock',
    edits: [
      ['take_buffered_signals', 'order by s.signal_no limit 1\n    for update;', 'order by s.signal_no limit 1;'],
      ['take_buffered_signals', 'order by s.signal_no for update;', 'order by s.signal_no;'],
    ],
    caughtBy: 'R6 two waits / two kept signals',
  },
  {
    name: 'waiter and sender do not meet',
    edits: [['signal', 'perform lock_rendezvous(v_met, true);', '']],
    caughtBy: 'R6 a signal to anybody / the wait for it',
  },
  {
    name: 'a sender meets like a waiter, shared',
    edits: [['signal', 'perform lock_rendezvous(v_met, true);', 'perform lock_rendezvous(v_met, false);']],
    caughtBy: 'R6 two signals / a second wait for them',
  },
  {
    name: 'the shortest waiter is served first',
    edits: [
      ['deliver_signals', 'order by w.wait_no limit 1', 'order by w.wait_no desc limit 1'],
      ['waiters_of', 'order by w.wait_no', 'order by w.wait_no desc'],
    ],
    caughtBy: 'one signal reaches one waiter',
  },
  {
    name: 'the newest kept signal goes first',
    edits: [['take_buffered_signals', 'order by s.signal_no limit 1', 'order by s.signal_no desc limit 1']],
    caughtBy: 'kept signals go out once, oldest first, and not when expired',
  },
  {
    name: 'an expired signal is delivered',
    edits: [['take_buffered_signals', 'and s.expires_at > clock()', '']],
    caughtBy: 'kept signals go out once, oldest first, and not when expired',
  },
  {
    name: 'a signal to a workflow goes to anybody',
    edits: [
      ['deliver_signals', 'and (p_chain_no[i] is null or w.chain_no = p_chain_no[i])', ''],
      ['waiters_of', 'and (s.chain_no is null or w.chain_no = s.chain_no)', ''],
    ],
    caughtBy: 'a signal to a workflow reaches no other',
  },
  {
    name: 'B14 a repeated commit is not recognised',
    edits: [['commit', 'and x.seq = u.seq and x.commit_no = u.commit_no offset 0', 'and false offset 0']],
    caughtBy: 'a repeated commit is known, and answered as at first',
  },
  {
    name: 'B14 a decision is not stored',
    edits: [['commit', 'update history h set outcome = v_row.outcome', 'update history h set outcome = null']],
    caughtBy: 'a repeated commit is known, and answered as at first',
  },
  {
    name: 'B15 a request is forgotten with its signal',
    edits: [
      [
        'commit',
        'for i in 1 .. cardinality(c_item) loop\n',
        'delete from request_0;\n  for i in 1 .. cardinality(c_item) loop\n',
      ],
    ],
    caughtBy: 'a repeated signal is known also when it was consumed',
  },
  {
    name: 'B16 a request is looked up before it is remembered',
    edits: [
      [
        'remember_requests',
        'v_new bigint[];\nbegin',
        'v_new bigint[];\n  v_old bigint[] := array(select r.request_no from request_0 r);\nbegin',
      ],
      [
        'remember_requests',
        'select coalesce(a.answer, b.answer) from',
        'select case when u.request_no = any(v_old) then coalesce(a.answer, b.answer) end from',
      ],
    ],
    caughtBy: 'R15 a signal / the same call again',
  },
  {
    name: 'B20 a queued task is made again',
    edits: [['queue_tasks', 'if v_answer is not null then', 'if false then']],
    caughtBy: 'a completed activity never runs again',
  },
  {
    name: 'B21 the outcome of a child is not in its last commit',
    edits: [
      ['close_threads', "where u.c not in ('continued', 'reset')\n    order by u.n", 'where false\n    order by u.n'],
    ],
    caughtBy: 'a parent hears of its child and wakes',
  },
  {
    name: 'B21 what is delivered wakes nobody',
    edits: [['wake', 'where thread_no = any(p_threads)\n', 'where false\n']],
    caughtBy: 'a parent hears of its child and wakes',
  },
  {
    name: 'B22 the next run is left to another transaction',
    edits: [['close_threads', "if v_continued <> '{}' then", 'if false then']],
    caughtBy: 'continueAsNew begins the next run with what was not consumed',
  },
  {
    name: 'B22 continueAsNew drops what was not consumed',
    edits: [['clear_threads', 'or g.thread_no = any(p_lasting))', ')']],
    caughtBy: 'continueAsNew begins the next run with what was not consumed',
  },
  {
    name: 'B22 continueAsNew drops a cancel',
    edits: [['continue_runs', "i.kind = 'cancel') as cancels", 'false) as cancels']],
    caughtBy: 'continueAsNew begins the next run with what was not consumed',
  },
  {
    name: 'a signal to a run that just continued goes to the old one',
    edits: [
      [
        'signal',
        "e.run_no = any(v_runs) and e.state not in ('open', 'pending') and e.run_no <>",
        'false and e.run_no <>',
      ],
    ],
    caughtBy: 'R12 continueAsNew / a signal to the workflow, which does not wait',
  },
  {
    name: 'B23 terminate overwrites an outcome',
    edits: [['terminate', "if v_state not in ('open', 'pending') or v_chain_no <> p_chain_no then", 'if false then']],
    caughtBy: 'an outcome never changes',
  },
  {
    name: 'B23 cancel touches what has ended',
    edits: [
      ['cancel', "if v_state is distinct from 'open' or v_chain_no <> p_chain_no then", 'if v_run is null then'],
      ['cancel_runs', "and state = 'open' and not cancel_requested", 'and not cancel_requested'],
    ],
    caughtBy: 'an outcome never changes',
  },
  {
    name: 'B23 terminate looks at the state without a lock',
    edits: [['terminate', 'where e.run_no = v_run for no key update;', 'where e.run_no = v_run;']],
    caughtBy: 'R11 terminate / the commit that ends the run',
  },
  {
    name: 'terminate writes no closing entry',
    edits: [
      [
        'end_threads',
        'on conflict (thread_no, seq) do nothing\n      returning thread_no',
        'on conflict (thread_no, seq) do update set body = history.body\n      returning thread_no',
      ],
    ],
    caughtBy: 'R11 terminate / a commit that needs no lock',
  },
  {
    name: 'B26 meeting places are locked in the order they are named',
    edits: [
      [
        'lock_rendezvous',
        'select count(*) into v_held from (\n      select from rendezvous r where r.signal_id = any(v_ids) order by r.signal_id for update) x;',
        `for i in 1 .. cardinality(p_signal_ids) loop
      perform from rendezvous r where r.signal_id = p_signal_ids[i] for update;
    end loop;
    v_held := cardinality(v_ids);`,
      ],
    ],
    caughtBy: 'signals from workflows in opposite order do not meet in a deadlock',
  },
  {
    name: 'B26 new runs are inserted in the order they are named',
    edits: [['start', 'from asked a order by a.workflow_id\n', 'from asked a order by a.run_no\n']],
    caughtBy: 'starts in opposite order do not meet in a deadlock',
  },
  {
    name: 'B28 a claim whose answer is lost is not given back',
    edits: [['owned', 't.claim_no < p_claims_before', 'false']],
    caughtBy: 'what a worker owns and has not heard of is told',
  },
  {
    name: 'a repeated claim takes others',
    edits: [['claim', 't.owner = p_worker_no and t.claim_no = p_claim_no', 'false']],
    caughtBy: 'a repeated claim answers the same',
  },
  {
    name: 'two claims take the same thread',
    edits: [['claim', 'limit p_limit\n        for no key update skip locked', 'limit p_limit']],
    caughtBy: 'R3 claim / claim',
  },
  {
    name: 'a commit goes by any claim',
    edits: [['commit', 'where t.owner = p_worker_no and t.epoch = u.epoch', 'where t.owner = p_worker_no']],
    caughtBy: 'a commit names the claim it goes by',
  },
  {
    name: 'a repeated start is not recognised',
    edits: [
      [
        'start',
        "case when e.request_no = u.request_no then 'started' else 'duplicate' end",
        "case when e.run_no > currval('run_number') - 1 then 'started' else 'duplicate' end",
      ],
    ],
    caughtBy: 'a repeated start is known',
  },
  {
    name: 'a refused entry has its effects',
    edits: [
      [
        'commit',
        'with ordinality u (item, kind, op, k, v, num, x, n)\n    where v_ok[u.item]',
        'with ordinality u (item, kind, op, k, v, num, x, n)\n    where true',
      ],
    ],
    caughtBy: 'a refused entry has no effect, and harms no other',
  },
  {
    name: 'a refused entry consumes its mail',
    edits: [['commit', 'u (item, no) where v_ok[u.item]', 'u (item, no) where true']],
    caughtBy: 'a refused entry has no effect, and harms no other',
  },
  {
    name: 'a wait that was answered is given up',
    edits: [['commit', "where u.kind = 'unwait'\n        and not exists", 'where false and not exists']],
    caughtBy: 'a wait that was answered is not given up',
  },
  {
    name: 'a task that was withdrawn stays',
    edits: [['commit', "elsif e_kind[i] = 'untask' then", "elsif e_kind[i] = 'never' then"]],
    caughtBy: 'a task that was withdrawn is not run',
  },
  {
    name: 'a child that is given up is not cancelled',
    edits: [['awaited_runs', "where u.kind = 'uncall'", 'where false']],
    caughtBy: 'a child that is given up is cancelled',
  },
  {
    name: 'what was put back is not offered',
    edits: [['return_signals', "if v_ids = '{}' then", 'if true then']],
    caughtBy: 'what was put back finds who waits',
  },
  {
    name: 'positions of events are those of a sequence',
    edits: [
      [
        'keep_emissions',
        'update emission_counter set last = last + v_count returning last into v_last;',
        "v_last := (select max(nextval('run_number')) from generate_series(1, v_count));",
      ],
      ['emissions', '(select c.last from emission_counter c)', '(select max(m.emission_no) from emission m)'],
    ],
    caughtBy: 'emitted events become visible in the order of their positions',
  },
  {
    name: 'a repeated commit emits its events again',
    edits: [['commit', 'where v_ok[u.item];\n  end if;', "where v_ok[u.item] or u.kind = 'emit';\n  end if;"]],
    caughtBy: 'an event of a refused commit is not emitted',
  },
  {
    name: 'events are kept for ever',
    edits: [
      ['tidy', 'where x.expires_at < (select clock()) order by x.expires_at limit 5000', 'where false limit 5000'],
    ],
    caughtBy: 'an emitted event is not kept for ever',
  },
  {
    name: 'documents are not locked',
    edits: [['lock_documents', 'order by d.run_no for no key update;', 'order by d.run_no;']],
    caughtBy: 'two threads of a run count',
  },
  {
    name: 'what the calls of a session gave is not kept for a repeated commit',
    edits: [['commit', 'update history h set outcome = v_row.outcome\n', 'update history h set outcome = null\n']],
    caughtBy: 'a repeated commit counts once, and gives what it gave before',
  },
  {
    name: 'the calls of a refused entry are carried out',
    edits: [
      ['commit', 'where v_ok[u.item];\n  end if;', "where v_ok[u.item] or u.kind in ('search', 'entity');\n  end if;"],
    ],
    caughtBy: 'a repeated commit counts once, and gives what it gave before',
  },
  {
    name: 'the document of a run that is continued is moved without its lock',
    edits: [
      [
        'commit',
        "if v_kinds && '{search,entity,hook}' or v_closing <> '{}' and 'continued' = any(p_closing) then",
        "if v_kinds && '{search,entity,hook}' then",
      ],
    ],
    caughtBy: 'a run continues as new / its hook counts',
  },
  {
    name: 'continueAsNew leaves the documents behind',
    edits: [['continue_runs', 'where d.run_no = a.run_no', 'where d.run_no = a.run_no and false']],
    caughtBy: 'continueAsNew takes the documents along',
  },
  {
    name: 'any isolation level will do',
    edits: [['begin_write', "if current_setting('transaction_isolation') <> 'read committed' then", 'if false then']],
    caughtBy: 'only read committed will do',
  },
  {
    name: 'a worker retires under its own commit',
    edits: [
      [
        'retire_worker',
        'perform from worker w where w.worker_no = p_worker_no and w.role = session_user for update;',
        '',
      ],
    ],
    caughtBy: 'R5 stopping in order / its own late commit',
  },
  ...hookBugs,
  ...terminationBugs,
  ...idBugs,
  ...pruneBugs,
  ...operationBugs,
  {
    name: 'limits are looked at without the lock of the thread',
    edits: [['expire_tasks', 'order by t.thread_no for no key update skip locked);', 'order by t.thread_no);']],
    caughtBy: 'the limits are looked at / its thread parks',
  },
  {
    name: 'limits are not looked at again behind the lock',
    edits: [['expire_tasks', 'if v_limit is null then', 'if false then']],
    caughtBy: 'a heartbeat puts off the limit of silence',
  },
  {
    name: 'an answer from outside is delivered without the lock of the thread',
    edits: [
      [
        'answer_task',
        'from thread t where t.thread_no = p_thread_no for no key update;',
        'from thread t where t.thread_no = p_thread_no;',
      ],
    ],
    caughtBy: 'an answer from outside / its thread parks',
  },
  {
    name: 'an answer from outside is not remembered',
    edits: [['answer_task', 'if v_answer is not null then', 'if false then']],
    caughtBy: 'a repeated answer from outside is known',
  },
  {
    name: 'an activity that was answered becomes a task all the same',
    edits: [
      [
        'queue_tasks',
        'and not exists (select from inbox i where i.thread_no = u.thread_no and i.op = u.op)\n    order',
        'order',
      ],
    ],
    caughtBy: 'an activity that was answered becomes no task',
  },
  {
    name: 'a bound activity is taken by who had its thread before',
    edits: [['take_step', ' and t.epoch = p_epoch for', ' for']],
    caughtBy: 'a bound activity goes with its thread',
  },
  {
    name: 'a claim takes what came too late',
    edits: [['claim_tasks', 'and (a.expires_at is null or a.expires_at > v_now)  --', '--']],
    caughtBy: 'what came too late is not claimed',
  },
];

/** Puts the bug into the database. @returns what takes it out again. */
export async function plant(database: PausableDatabase, bug: PlantedBug): Promise<() => Promise<void>> {
  const { control } = database;
  const names = [...new Set(bug.edits.map(([name]) => name))];
  const sound: string[] = [];
  const planted: string[] = [];
  for (const name of names) {
    const [row] = await control.sql<{ text: string }>(
      `select pg_get_functiondef(p.oid) as text from pg_proc p where p.pronamespace = '${SCHEMA}'::regnamespace and p.proname = $1`,
      name,
    );
    let text = row?.text ?? '';
    sound.push(text);
    for (const [, from, to] of bug.edits.filter(([edited]) => edited === name)) {
      if (!text.includes(from))
        throw new Error(`${bug.name}: sql/functions/${name}.sql has no such text any more:\n${from}`);
      text = text.replaceAll(from, to);
    }
    planted.push(text);
  }
  const apply = async (texts: readonly string[], around: string | undefined) => {
    await control.sql('set check_function_bodies to off');
    for (const statement of [...(around?.split('; ') ?? []), ...texts]) await control.sql(statement);
  };
  await apply(planted, bug.before);
  return () => apply(sound, bug.after);
}
