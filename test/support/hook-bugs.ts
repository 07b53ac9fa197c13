/** Bugs to plant into what hooks go through; see protocol-bugs.ts. */

import type { PlantedBug } from './planted-bug.js';

export const hookBugs: readonly PlantedBug[] = [
  {
    name: 'a hook commits without the lock of its thread',
    edits: [['commit', "u.kind in ('wait', 'unwait', 'untask', 'own')", "u.kind in ('wait', 'unwait', 'untask')"]],
    caughtBy: 'R17 ends of two runs, each with a hook that the other’s worker is committing',
  },
  {
    name: 'a client opens a hook without the lock of its run',
    edits: [['lock_latest_runs', 'order by e.run_no for no key update);', 'order by e.run_no);']],
    caughtBy: 'R17 a client’s hook / the end of its run, completed',
  },
  {
    name: 'a workflow opens a hook without the lock of its run',
    edits: [
      ['commit', 'v_runs := v_runs || hooked_runs(p_thread_no, e_item, e_kind, e_key, e_extra, false);', ''],
      ['commit', "v_kinds && '{hook}' and not hooked_runs(", "v_kinds && '{hook}' and false and not hooked_runs("],
    ],
    caughtBy: 'R17 another workflow’s hook / the end of its run, completed',
  },
  {
    name: 'a hook goes into the run that was continued meanwhile',
    edits: [
      ['commit', "v_kinds && '{hook}' and not hooked_runs(", "v_kinds && '{hook}' and false and not hooked_runs("],
      [
        'start_hooks',
        'then latest_run(u.id) end',
        'then (select min(e.run_no) from execution e where e.workflow_id = u.id) end',
      ],
    ],
    caughtBy: 'a hook goes into the run that is there',
  },
  {
    name: 'a client’s hook is opened again when its answer was lost',
    edits: [['hook', 'where x.request_no = u.request_no', 'where false']],
    caughtBy: 'a client’s hook whose answer was lost is there once',
  },
  {
    name: 'signalIn: false is not looked at',
    edits: [['open_hooks', "when not e.signal_in then 'closed'", "when false then 'closed'"]],
    caughtBy: 'a hook that is refused leaves nobody waiting',
  },
  {
    name: 'the caller of a hook that was refused waits',
    edits: [['decide_effects', "e_kind[i] := 'no wait';", 'null;']],
    caughtBy: 'a hook that is refused leaves nobody waiting',
  },
  {
    name: 'a hook does not hear of a cancel that nobody has seen',
    edits: [['open_hooks', 'where exists (select from inbox i', 'where false and exists (select from inbox i']],
    caughtBy: 'a cancel that nobody has seen reaches new hooks',
  },
  {
    name: 'nobody hears of the failure of a hook',
    edits: [['close_hooks', "and k.state <> 'completed'", 'and false']],
    caughtBy: 'R1 park / the failure of an awaited hook',
  },
  {
    name: 'the failure of a hook is told behind its signal',
    edits: [['close_hooks', 'continue when not found;', '']],
    caughtBy: 'a hook that fails behind its signal tells nobody',
  },
  {
    name: 'a hook that returned ends the wait of its caller',
    edits: [['close_hooks', "and k.state <> 'completed'", '']],
    caughtBy: 'a hook that returned leaves the signal to others',
  },
  {
    name: 'the failure of a hook is told without the lock of its caller',
    edits: [['commit', 'union all select k.opener_thread from hook k where k.thread_no = any(v_closing)', '']],
    caughtBy: 'R1 park / the failure of an awaited hook in another workflow',
  },
  {
    name: 'terminate tells who awaits a hook without the lock',
    edits: [['terminate', 'union all select k.opener_thread from hook k where k.run_no = v_run', '']],
    caughtBy: 'R17 terminate of the workflow of an awaited hook / its caller parks',
  },
  {
    name: 'what a hook was sent is lost with it',
    edits: [['close_threads', 'or not t.run_no = any(v_runs)', 'or false']],
    caughtBy: 'a hook that ends gives back what it was sent',
  },
  {
    name: 'what the hooks of a continued run were sent is lost',
    edits: [['close_threads', 't.run_no = any(v_onward) or', 'false or']],
    caughtBy: 'a hook that ends gives back what it was sent',
  },
  {
    name: 'the hooks of a run outlive it',
    edits: [['close_threads', "if v_others <> '{}' then", "v_others := '{}'; if false then"]],
    caughtBy: 'a run ends with its hooks',
  },
];
