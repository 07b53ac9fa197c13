/** Bugs to plant into what pausing, resuming and going back rest on; see protocol-bugs.ts. */

import type { PlantedBug } from './planted-bug.js';

export const operationBugs: readonly PlantedBug[] = [
  {
    name: 'a paused thread that is given up may go on',
    edits: [['release', "case when t.paused then 'paused' else 'ready' end", "'ready'"]],
    caughtBy: 'pause / its release',
  },
  {
    name: 'a paused thread of a dead worker may go on',
    edits: [['release_dead_workers', "case when paused then 'paused' else 'ready' end", "'ready'"]],
    caughtBy: 'pause / a reaper',
  },
  {
    name: 'a hook of a paused run is not paused',
    edits: [['open_hooks', 'e.paused_at is not null\n', 'false\n']],
    caughtBy: 'pause / a hook',
  },
  {
    name: 'resume does not wait for who is laying tasks aside',
    edits: [['resume', 'order by a.thread_no, a.op for no key update;', 'order by a.thread_no, a.op;']],
    caughtBy: 'resume / the claim of its task',
  },
  {
    name: 'an owner is not told that its run is paused',
    edits: [['pause', 'where p.owner is not null order by', 'where false order by']],
    caughtBy: 'pause / a commit',
  },
  {
    name: 'reset does not lock the run',
    edits: [
      ['reset', 'where e.run_no = any(v_children || p_run_no) order by e.run_no for no key update;', 'where false;'],
    ],
    caughtBy: 'reset / its end',
  },
];
