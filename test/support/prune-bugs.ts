/** Bugs to plant into pruning, and into those who meet it; see protocol-bugs.ts. */

import type { PlantedBug } from './planted-bug.js';

export const pruneBugs: readonly PlantedBug[] = [
  {
    name: 'B41 a run is pruned without its lock',
    edits: [
      [
        'delete_runs',
        'where e.run_no = any(p_runs || v_first) order by e.run_no for update skip locked);',
        'where e.run_no = any(p_runs || v_first));',
      ],
    ],
    caughtBy: 'R13 prune / a start of its id used again',
  },
  {
    name: 'B41 the first runs of an id are pruned without their locks',
    edits: [
      [
        'delete_runs',
        'where e.run_no = any(p_runs || v_first) order by e.run_no for update skip locked);',
        'where e.run_no = any(p_runs) order by e.run_no for update skip locked) || v_first;',
      ],
    ],
    caughtBy: 'R13 prune a later workflow of an id / prune another one',
  },
  {
    name: 'B41 what later runs rest on goes',
    edits: [['delete_runs', 'any(v_going) and not is_needed(e);', 'any(v_going);']],
    caughtBy: 'R13 prune / a chain that goes on',
  },
  {
    name: 'B42 a start does not see that its id was freed',
    edits: [['start', 'if v_answered < cardinality(p_workflow_id) then', 'if false then']],
    caughtBy: 'R13 prune / a start under its id',
  },
  {
    name: 'B42 a reservation lapses without a look at what it needed',
    edits: [
      [
        'expire_runs',
        'perform from execution e where e.workflow_id = v_run.workflow_id and e.run = 0 for no key update;',
        '',
      ],
    ],
    caughtBy: 'R13 prune / a reservation of its id that lapses',
  },
];
