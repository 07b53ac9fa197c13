/** What follows from a thread's stored history alone. */

import { type ActivityDefaults, decodeOutcome, decodeSteps, type Read } from '../codec/entry-text.js';
import { decodeFailure } from '../codec/failure-text.js';
import { decodePayload } from '../codec/payload.js';
import { registeredSeal, type Seal } from '../codec/payload-codec.js';
import { PayloadCodecError } from '../core/errors.js';
import type { Failure } from '../core/failure.js';
import { type Decision, decidedAtCommit, type Event, type RecordedStep } from '../core/history.js';
import type { HistoryRow, Mail } from '../postgres/protocol/threads.js';
import { failedAttempts, type OpenOperation, replayOpen } from './open-operation.js';

export interface ThreadHistory {
  readonly steps: readonly RecordedStep[];
  readonly open: Map<number, OpenOperation>;
  /** How many operations were opened. */
  readonly opened: number;
  /** The number of the next entry. */
  readonly seq: number;
  readonly lastCommitNo: number | null;
  /** The attempt of the function that runs, or is due. */
  readonly attempt: number;
  readonly now: number;
  /** What the database decided about the last entry, to be delivered before anything else. */
  readonly decided: readonly Event[];
}

/** @throws {PayloadCodecError} when it cannot be read. */
export function readHistory(
  workflow: ActivityDefaults & { workflowId: string },
  rows: readonly HistoryRow[],
  seal: Seal = registeredSeal,
): ThreadHistory {
  const steps: RecordedStep[] = [];
  let opened = 0;
  let outcome: ReadonlyMap<number, Decision> = new Map();
  let last: readonly RecordedStep[] = [];
  const reads = new Map<number, Read>();
  try {
    for (const row of rows) {
      const read = decodeSteps(row.seq, row.body, opened, outcome, workflow, seal);
      opened = read.opened;
      outcome = decodeOutcome(row.outcome, seal, reads);
      last = read.steps;
      for (const step of read.steps) steps.push(step);
    }
  } catch (error) {
    if (error instanceof PayloadCodecError) throw error;
    const name = error instanceof Error ? error.name : typeof error;
    throw new PayloadCodecError(`the history of "${workflow.workflowId}" cannot be read: ${name}`);
  }
  const open = new Map<number, OpenOperation>();
  replayOpen(open, steps);
  const usual = last.flatMap((step) => step.commands).filter(({ command }) => decidedAtCommit(command));
  const decidedOps = [...usual.map(({ op }) => op as number), ...outcome.keys()].filter((op) => open.has(op));
  return {
    steps,
    open,
    opened,
    seq: rows.length,
    lastCommitNo: rows.at(-1)?.commit_no ?? null,
    attempt: failedAttempts(steps) + 1,
    now: steps.at(-1)?.now ?? 0,
    decided: decisions(decidedOps, outcome),
  };
}

/** Decisions as events, in the order of their operations. */
export function decisions(ops: readonly number[], outcome: ReadonlyMap<number, Decision>): Event[] {
  return [...new Set(ops)]
    .sort((a, b) => a - b)
    .map((op) => ({ kind: 'decided', op, decision: outcome.get(op) ?? { what: 'usual' } }));
}

/** Of a child that was terminated without an error: its parent's wait ends all the same. */
const ended: Failure = {
  name: 'TerminatedError',
  type: 'TerminatedError',
  code: 410,
  message: 'the workflow was terminated',
  stack: '',
  nonRetryable: true,
};

/** The event in an inbox row, but for `again` and `pause`, which are none. @throws {PayloadCodecError} when it cannot be opened. */
export function eventOf(mail: Mail, seal: Seal = registeredSeal): Event {
  const op = mail.op ?? -1;
  switch (mail.kind) {
    case 'again':
    case 'pause':
      throw new TypeError(`not an event: ${mail.kind}`);
    case 'cancel':
      return { kind: 'cancel', ops: [] };
    case 'fail':
      return { kind: 'fail', op, failure: mail.payload === null ? ended : decodeFailure(mail.payload, seal) };
    default:
      return {
        kind: mail.kind,
        op,
        value: decodePayload(mail.payload, seal),
        text: mail.payload,
      };
  }
}
