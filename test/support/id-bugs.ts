/** Bugs to plant into what ids, timeouts and parent close policies go through; see protocol-bugs.ts. */

import type { PlantedBug } from './planted-bug.js';

export const idBugs: readonly PlantedBug[] = [
  {
    name: 'a start on terms ends a run without its lock',
    edits: [
      [
        'start_on_terms',
        'from unnest(v_new) u (n))\n    order by e.run_no for no key update);',
        'from unnest(v_new) u (n))\n    order by e.run_no);',
      ],
    ],
    caughtBy: 'R20 start (replace) / its end, completed',
  },
  {
    name: 'a start on terms is not remembered',
    edits: [['start_on_terms', 'perform answer_requests(p_request_no, v_answers);', '']],
    caughtBy: 'a start on terms whose answer was lost has its effect once',
  },
  {
    name: 'a signal with a start is sent though the run does not wait under lock',
    edits: [['start_on_terms', "or v_terms[u.n] ->> 'signalId' is not null)));", ')));']],
    caughtBy: 'R20 start (signal) / it parks',
  },
  {
    name: 'a cancel request stays with the run that was replaced',
    edits: [['cancel', 'v_run = latest_run(p_workflow_id)', "v_state is distinct from 'continued'"]],
    caughtBy: 'R20 start (replace) / a cancel request',
  },
  {
    name: 'a signal goes to the run that was replaced',
    edits: [['signal', "e.state not in ('open', 'pending') and e.run_no <>", "e.state = 'continued' and e.run_no <>"]],
    caughtBy: 'R20 start (replace) / a signal to it',
  },
  {
    name: 'a timeout ends a run without its lock',
    edits: [['expire_runs', 'order by e.run_no for no key update skip locked);', 'order by e.run_no);']],
    caughtBy: 'R21 the timeout of a run / its end, completed',
  },
  {
    name: 'a timeout is not seen',
    edits: [['expire_runs', 'where x.due_at <= v_now order by', 'where x.due_at is null order by']],
    caughtBy: 'a run ends when its time is over, and no other does',
  },
  {
    name: 'a timeout comes early',
    edits: [
      ['expire_runs', 'where x.due_at <= v_now order by', 'where x.due_at is not null order by'],
      ['expire_runs', 'and e.due_at <= v_now', ''],
    ],
    caughtBy: 'a run ends when its time is over, and no other does',
  },
  {
    name: 'the next run has all the time in the world',
    edits: [['continue_runs', "least(a.chain_due_at, clock() + a.run_timeout_ms * interval '1 ms')", 'null']],
    caughtBy: 'the next run of a chain keeps its timeouts',
  },
  {
    name: 'a cancel request waits for a delay',
    edits: [['wake', " or state = 'ready' and ready_at > clock()", '']],
    caughtBy: 'a cancel request does not wait for a delay',
  },
  {
    name: 'a child takes an id without the lock of its run',
    edits: [
      ['commit', "v_ending := v_ending || keyed_runs('child on terms', e_kind, e_key);", ''],
      ['commit', "v_kinds && '{child on terms}' and not keyed_runs", 'false and not keyed_runs'],
      ['start_children_on_terms', 'if not v_old.run_no = any(p_runs) then', 'if false then'],
    ],
    caughtBy: 'R20 start (replace) / a child of its id',
  },
  {
    name: 'the end of a parent forgets its children',
    edits: [['close_threads', 'if v_deserted is not null then', 'if false then']],
    caughtBy: 'R22 a parent has ended (terminate) / the same again',
  },
];
