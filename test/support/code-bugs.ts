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
  /** A test file and its project. */
  readonly caughtBy: readonly [project: 'unit' | 'guarantees', file: string];
}

const FLEET = ['unit', 'src/worker/fleet.test.ts'] as const;
const SIMULATION = ['unit', 'src/worker/simulation.test.ts'] as const;
const BATCHES = ['guarantees', 'test/one-bad-item-spoils-no-batch.test.ts'] as const;

export const codeBugs: readonly CodeBug[] = [
  {
    name: 'B7 a timer is due by the worker’s clock',
    file: 'src/worker/entry-draft.ts',
    from: "{ kind: fired ? 'fire' : 'untimer', op }",
    to: "{ kind: 'untimer', op }",
    caughtBy: FLEET,
  },
  {
    name: 'B12 a losing timer is not disarmed',
    file: 'src/worker/entry-draft.ts',
    from: "this.#effects = added(this.#effects, { kind: 'untimer', op });\n        break;\n      case 'wait'",
    to: "break;\n      case 'wait'",
    caughtBy: FLEET,
  },
  {
    name: 'B17 a batch that is split loses its last item',
    file: 'src/postgres/batcher.ts',
    from: 'batch.slice(middle));',
    to: 'batch.slice(middle, -1));',
    caughtBy: BATCHES,
  },
  {
    name: 'B18 a batch that is split has an item twice',
    file: 'src/postgres/batcher.ts',
    from: 'batch.slice(0, middle), batch',
    to: 'batch.slice(0, middle + 1), batch',
    caughtBy: BATCHES,
  },
  {
    name: 'B19 an eager activity begins before its commit is durable',
    file: 'src/worker/active-thread.ts',
    from: '    this.#port.commit(item, this);\n  }',
    to: '    for (const op of draft.eager) this.#port.startEager(this, op);\n    this.#port.commit(item, this);\n  }',
    caughtBy: FLEET,
  },
  {
    name: 'B24 the order of events is not the recorded one',
    file: 'src/worker/thread-history.ts',
    from: 'for (const step of read.steps) steps.push(step);',
    to: 'for (const step of [...read.steps].reverse()) steps.push(step);',
    caughtBy: FLEET,
  },
  {
    name: 'B25 a refused commit is taken for a durable one',
    file: 'src/worker/active-thread.ts',
    from: "if (answer.status === 'done') this.#settle",
    to: "if (answer.status !== 'stale') this.#settle",
    caughtBy: FLEET,
  },
  {
    name: 'B27 the next event is delivered before a recorded late command came',
    file: 'src/replay/replay.ts',
    from: 'if (!recording.complete && ',
    to: 'if (false && !recording.complete && ',
    caughtBy: SIMULATION,
  },
  {
    name: 'decisions of the last entry are not delivered by whoever goes on',
    file: 'src/worker/thread-history.ts',
    from: 'decided: decisions(decidedOps, outcome),',
    to: 'decided: [],',
    caughtBy: FLEET,
  },
  {
    name: 'a signal that is here already does not stand before the timeout',
    file: 'src/worker/mailbox.ts',
    from: 'if (given > 0) return',
    to: 'if (given > 1_000) return',
    caughtBy: FLEET,
  },
  {
    name: 'mail that was consumed is consumed again',
    file: 'src/worker/active-thread.ts',
    from: 'for (const inboxNo of item.consumed) this.knownMail.delete(inboxNo);',
    to: 'this.knownMail.clear();',
    caughtBy: FLEET,
  },
  {
    name: 'a cancelled child is not told',
    file: 'src/worker/entry-draft.ts',
    from: 'if (cancelled && operation.awaited)',
    to: 'if (false && cancelled)',
    caughtBy: FLEET,
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
