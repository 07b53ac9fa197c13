/** Bugs to plant into what terminates workflows and their descendants; see protocol-bugs.ts. */

import type { PlantedBug } from './planted-bug.js';

export const terminationBugs: readonly PlantedBug[] = [
  {
    name: 'the generation behind the next one is forgotten',
    edits: [['descend', 'v_note.failure, v_note.expire_s, true);', 'v_note.failure, v_note.expire_s, false);']],
    caughtBy: 'descendants end, all generations of them',
  },
  {
    name: 'nobody notes that descendants are to end',
    edits: [['end_run', 'if p_descend then', 'if p_descend and false then']],
    caughtBy: 'descendants end, all generations of them',
  },
  {
    name: 'the note goes with the first hundred of a generation',
    edits: [['descend', "e.state in ('open', 'pending') and (v_note.whole", "e.state = 'never' and (v_note.whole"]],
    caughtBy: 'a large family ends to the last',
  },
  {
    name: 'a workflow that terminates itself does not hear of it',
    edits: [['terminate_runs', 'if v_run = (select t.run_no', 'if false and v_run = (select t.run_no']],
    caughtBy: 'a workflow that ends itself is told',
  },
  {
    name: 'what has ended is terminated from inside',
    edits: [['terminate_runs', "elsif v_state not in ('open', 'pending') then", "elsif v_state = 'never' then"]],
    caughtBy: 'one that has ended is not terminated by another',
  },
];
