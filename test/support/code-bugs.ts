/**
 * Bugs to plant into the engine's TypeScript, one at a time, each with the test file that must turn red: see
 * scripts/planted-bugs.mjs. Those of the SQL functions are in protocol-bugs.ts. The B numbers are the reliability plan's.
 */

import type { Plugin } from 'vitest/config';

export interface CodeBug {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** The test that must turn red: its project, its file, and the end of its title. None of them depends on chance. */
  readonly caughtBy: readonly [project: 'unit' | 'guarantees', file: string, title: string];
}

const ACTIVE_THREAD = 'src/worker/active-thread.test.ts';
const ENTRY_DRAFT = 'src/worker/entry-draft.test.ts';
const THREAD_HISTORY = 'src/worker/thread-history.test.ts';
const BATCHER = 'src/postgres/batcher.test.ts';
const SPLIT = 'splits a call that fails until the culprit stands alone: all others are sent again, once';

export const codeBugs: readonly CodeBug[] = [
  {
    name: 'B7 a timer is due by the worker’s clock',
    file: 'src/worker/entry-draft.ts',
    from: "{ kind: fired ? 'fire' : 'untimer', op }",
    to: "{ kind: 'untimer', op }",
    caughtBy: ['unit', ACTIVE_THREAD, 'that the store does not find due yet is stored when it is'],
  },
  {
    // Of a race: a sleep that lost it goes on, as in JavaScript. What loses for good is the timeout of a wait.
    name: 'B12 a losing timer is not disarmed: the timeout of a wait that got its signal',
    file: 'src/worker/entry-draft.ts',
    from: 'if (operation.timeoutMs !== null)',
    to: 'if (operation.timeoutMs !== null && fired)',
    caughtBy: ['unit', ENTRY_DRAFT, 'a timed wait that was signalled has its timer disarmed'],
  },
  {
    name: 'B12 a losing timer is not disarmed: that of a retry that was brought forward',
    file: 'src/worker/entry-draft.ts',
    from: "this.#effects = added(this.#effects, { kind: 'untimer', op });\n        break;\n      case 'wait'",
    to: "break;\n      case 'wait'",
    caughtBy: ['unit', ENTRY_DRAFT, 'a retry takes its timer out, due or not'],
  },
  {
    name: 'B17 a batch that is split loses its last item',
    file: 'src/postgres/batcher.ts',
    from: 'batch.slice(middle));',
    to: 'batch.slice(middle, -1));',
    caughtBy: ['unit', BATCHER, SPLIT],
  },
  {
    name: 'B18 a batch that is split has an item twice',
    file: 'src/postgres/batcher.ts',
    from: 'batch.slice(0, middle), batch',
    to: 'batch.slice(0, middle + 1), batch',
    caughtBy: ['unit', BATCHER, SPLIT],
  },
  {
    name: 'B19 an eager activity begins before its commit is durable',
    file: 'src/worker/active-thread.ts',
    from: '    this.#port.commit(item, this);\n  }',
    to: '    for (const op of draft.eager) this.#port.startEager(this, op);\n    this.#port.commit(item, this);\n  }',
    caughtBy: ['unit', ACTIVE_THREAD, 'start when the entry that scheduled them is durable, not before'],
  },
  {
    name: 'B24 the order of events is not the recorded one',
    file: 'src/worker/thread-history.ts',
    from: 'for (const step of read.steps) steps.push(step);',
    to: 'for (const step of [...read.steps].reverse()) steps.push(step);',
    caughtBy: ['unit', THREAD_HISTORY, 'is what happened, in the recorded order'],
  },
  {
    name: 'B25 a refused commit is taken for a durable one',
    file: 'src/worker/active-thread.ts',
    from: "if (answer.status === 'done') this.#settle(sent.draft, sent.item, answer.outcome);",
    to: "if (answer.status !== 'stale') this.#settle(sent.draft, sent.item, 'outcome' in answer ? answer.outcome : null);",
    caughtBy: ['unit', ACTIVE_THREAD, 'and nothing of what was refused goes on'],
  },
  {
    name: 'a thread is given up because a signal came first',
    file: 'src/worker/active-thread.ts',
    from: "else if (answer.status === 'stale') void this.#reload(sent.draft);",
    to: "else if (answer.status === 'stale') this.#port.refused(this);",
    caughtBy: ['unit', ACTIVE_THREAD, 'and attempts that run go on'],
  },
  {
    name: 'B27 the next event is delivered before a recorded late command came',
    file: 'src/replay/replay.ts',
    from: 'if (!recording.complete && ',
    to: 'if (false && !recording.complete && ',
    caughtBy: ['unit', 'src/replay/recording.test.ts', 'is waited for before anything further is delivered'],
  },
  {
    name: 'decisions of the last entry are not delivered by whoever goes on',
    file: 'src/worker/thread-history.ts',
    from: 'decided: decisions(decidedOps, outcome),',
    to: 'decided: [],',
    caughtBy: ['unit', ACTIVE_THREAD, 'after a crash between the commit and its answer too, before the mail'],
  },
  {
    name: 'decisions are torn apart: when there are too many for an entry, or the run is paused',
    file: 'src/worker/active-thread.ts',
    from: 'return this.#mailbox.beginsWithDecision && !this.#draft.empty;',
    to: 'return false;',
    caughtBy: ['unit', ACTIVE_THREAD, 'in one entry, however much that is'],
  },
  {
    name: 'a signal that is here already does not stand before the timeout',
    file: 'src/worker/mailbox.ts',
    from: 'if (given > 0) return',
    to: 'if (given > 1_000) return',
    caughtBy: ['unit', ACTIVE_THREAD, 'a signal stands before the timeout that it was in time for'],
  },
  {
    name: 'mail that was consumed is consumed again',
    file: 'src/worker/active-thread.ts',
    from: 'for (const inboxNo of item.consumed) this.knownMail.delete(inboxNo);',
    to: 'this.knownMail.clear();',
    caughtBy: ['unit', ACTIVE_THREAD, 'a row that waits while another one is recorded is taken in once'],
  },
  {
    name: 'a cancelled child is not told',
    file: 'src/worker/entry-draft.ts',
    from: 'if (cancelled && operation.awaited)',
    to: 'if (false && cancelled)',
    caughtBy: ['unit', ENTRY_DRAFT, 'an awaited child is asked to cancel'],
  },
  {
    name: 'the row of an activity whose outcome waits to be recorded is given back',
    file: 'src/worker/known-tasks.ts',
    from: ' || here.settles(task)',
    to: '',
    caughtBy: [
      'guarantees',
      'test/a-held-row-stalls-nobody-else.test.ts',
      'an activity whose outcome waits to be recorded is not given back meanwhile, to run again',
    ],
  },
  {
    name: 'an outcome is taken for durable when its commit is sent',
    file: 'src/worker/active-thread.ts',
    from: '(this.#sent?.draft.resolves(op) ?? false) ||',
    to: '',
    caughtBy: ['unit', ACTIVE_THREAD, 'knows which outcomes are here until they are durable'],
  },
];

/** Changes the text of the bug's file as it is loaded. */
export function planting(bug: CodeBug): Plugin {
  return {
    name: 'planted bug',
    enforce: 'pre',
    transform(code, id) {
      if (!id.split('?')[0]?.endsWith(`/${bug.file}`)) return null;
      if (!code.includes(bug.from)) throw new Error(`${bug.name}: ${bug.file} has no such text any more:\n${bug.from}`);
      return code.replace(bug.from, bug.to);
    },
  };
}
