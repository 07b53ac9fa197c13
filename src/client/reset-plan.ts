/**
 * What a history leaves open where it is cut: what the new run must wait for, and what comes back to it.
 *
 * Read from the stored texts without opening payloads: no key is needed to reset a workflow whose payloads are sealed.
 */

import { parseSteps } from '../codec/entry-text.js';
import { type CommandKind, type CommandSpec, opensOperation } from '../core/history.js';
import type { ResetCut } from '../postgres/protocol/operations.js';
import type { HistoryRow } from '../postgres/protocol/threads.js';

/** What an operation was opened with, as far as it matters here. */
interface Opened {
  readonly kind: CommandKind;
  readonly atMs: number;
  readonly spec: unknown;
}

export interface ResetPlan extends ResetCut {
  /** Awaits a hook in another workflow, of which a new run would not hear. */
  readonly awaitsHookElsewhere: boolean;
}

/**
 * @param rows The whole history of the main thread.
 * @param keep How many entries stay.
 * @param keepOutcomes Whether activities that kept entries scheduled and that completed behind the cut are not repeated.
 */
export function planReset(rows: readonly HistoryRow[], keep: number, keepOutcomes: boolean): ResetPlan {
  const operations: Opened[] = [];
  const open = new Set<number>();
  const outcomes: { op: number; payload: string | null }[] = [];
  const signals: { signalId: string; payload: string | null }[] = [];
  let opened = 0;
  let cancelled = false;

  const took = (op: number, payload: unknown) => {
    const operation = operations[op];
    // What a hook answered is not put back: it begins anew, and answers again.
    if (operation?.kind !== 'wait') return;
    const { signalId } = operation.spec as CommandSpec['wait'];
    signals.push({ signalId, payload: payloadText(payload) });
  };

  for (const row of rows) {
    const kept = row.seq < keep;
    for (const step of parseSteps(row.body)) {
      const [kind, op, value] = step.e as [string, number, unknown];
      for (const settled of settledBy(step.e)) if (kept) open.delete(settled);
      if (kind === 'cancel' && kept) cancelled = true;
      if (kind === 'signal' && !kept) took(op, value);
      if (kind === 'done' && !kept && keepOutcomes && open.has(op) && operations[op]?.kind === 'activity')
        outcomes.push({ op, payload: payloadText(value) });
      for (const [kind, , , , spec] of step.c as [CommandKind, string, number, number, unknown][]) {
        if (!opensOperation(kind)) continue;
        if (kept) open.add(operations.length);
        operations.push({ kind, atMs: row.at_ms, spec });
      }
    }
    if (kept) opened = operations.length;
    if (!kept) for (const [op, payload] of signalsIn(row)) took(op, payload);
  }

  const plan = { timers: [], waits: [], children: [], hooks: [] } as {
    timers: { op: number; dueMs: number }[];
    waits: { op: number; signalId: string }[];
    children: number[];
    hooks: { op: number; signalId: string }[];
  };
  // Decided with the last kept entry, and told to whoever goes on behind it.
  const decided = decidedOf(rows[keep - 1]);
  let awaitsHookElsewhere = false;
  for (const op of open) {
    const operation = operations[op];
    if (operation === undefined || decided.has(op)) continue;
    const { kind, atMs, spec } = operation;
    if (kind === 'timer') plan.timers.push({ op, dueMs: atMs + (spec as CommandSpec['timer']).ms });
    if (kind === 'retry') plan.timers.push({ op, dueMs: atMs + (spec as CommandSpec['retry']).delayMs });
    if (kind === 'child' && (spec as CommandSpec['child']).awaited) plan.children.push(op);
    if (kind === 'wait') {
      const { signalId, timeoutMs } = spec as CommandSpec['wait'];
      plan.waits.push({ op, signalId });
      if (timeoutMs !== null) plan.timers.push({ op, dueMs: atMs + timeoutMs });
    }
    if (kind === 'hook') {
      const { signalId, workflowId } = spec as CommandSpec['hook'];
      if (signalId === null) continue;
      if (workflowId === null) plan.hooks.push({ op, signalId });
      else awaitsHookElsewhere = true;
    }
  }
  const seen = rows.filter((row) => !row.closes).length - 1;
  return { keep, opened, seen, cancelled, ...plan, outcomes, signals, awaitsHookElsewhere };
}

function settledBy(event: unknown[]): readonly number[] {
  const [kind, op, more] = event as [string, unknown, unknown];
  if (kind === 'cancel') return op as number[];
  if (kind === 'cancelled') return [op as number, ...(more as number[])];
  return kind === 'late' || kind === 'start' ? [] : [op as number];
}

/** Signals that were there already when an entry began to wait for them. */
function signalsIn({ outcome }: HistoryRow): [number, unknown][] {
  if (outcome === null) return [];
  return (JSON.parse(outcome) as [number, string, unknown][])
    .filter(([, what]) => what === 'signal')
    .map(([op, , value]) => [op, value]);
}

function decidedOf(row: HistoryRow | undefined): Set<number> {
  if (row === undefined || row.outcome === null) return new Set();
  return new Set((JSON.parse(row.outcome) as [number][]).map(([op]) => op));
}

function payloadText(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
