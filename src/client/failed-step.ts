/** Which step of a failed workflow its failure came from. */

import { parseSteps } from '../codec/entry-text.js';
import { decodeFailure } from '../codec/failure-text.js';
import type { Seal } from '../codec/payload-codec.js';
import type { Failure } from '../core/failure.js';
import { type CommandKind, type CommandSpec, opensOperation } from '../core/history.js';
import type { HistoryRow } from '../postgres/protocol/threads.js';

export interface FailedStep {
  /** How many entries stand before the one that holds the failure. */
  readonly keep: number;
  /** The workflow ids of children that failed, if any of it was one's. */
  readonly childIds: readonly string[];
}

/**
 * The last recorded failure that is the one the run ended with, or one that it names as its cause: what code did afterwards
 * (a `finally`, a compensation) is not kept. Where it ended with several (AggregateError), the first of the last so many.
 * Where the function failed by itself, its last entry.
 *
 * @throws {PayloadCodecError} when a failure cannot be opened.
 */
export function failedStep(rows: readonly HistoryRow[], ended: Failure, seal: Seal): FailedStep {
  const children = new Map<number, string>();
  const found: { readonly keep: number; readonly childId: string | undefined }[] = [];
  let opened = 0;
  for (const row of rows) {
    for (const { e, c } of parseSteps(row.body)) {
      const [kind, op, failure] = e as [string, number, unknown];
      if (kind === 'fail' && cameFrom(decodeFailure(JSON.stringify(failure), seal), ended))
        found.push({ keep: row.seq, childId: children.get(op) });
      for (const [kind, , , , spec] of c as [CommandKind, string, number, number, unknown][]) {
        if (!opensOperation(kind)) continue;
        if (kind === 'child') children.set(opened, (spec as CommandSpec['child']).workflowId);
        opened++;
      }
    }
  }
  const last = found.slice(-origins(ended));
  return {
    keep: last[0]?.keep ?? Math.max(0, rows.length - 1),
    childIds: last.flatMap(({ childId }) => childId ?? []),
  };
}

function cameFrom(recorded: Failure, ended: Failure): boolean {
  if (isSame(recorded, ended) || (ended.cause !== undefined && cameFrom(recorded, ended.cause))) return true;
  return ended.errors?.some((member) => cameFrom(recorded, member)) ?? false;
}

/** How many failures it may come from. */
function origins({ cause, errors = [] }: Failure): number {
  const members = errors.reduce((sum, member) => sum + origins(member), 0);
  return Math.max(1, members, cause === undefined ? 0 : origins(cause));
}

/** What a workflow lets pass keeps message and stack, whatever it is wrapped in. */
function isSame(recorded: Failure, ended: Failure): boolean {
  return recorded.message === ended.message && recorded.stack === ended.stack;
}
