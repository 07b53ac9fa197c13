/** Calls of those who run a fleet: pause, resume, reset. */

import type { Lane, QueryOptions } from '../database.js';
import { bigint, bigints, boolean, call, doubles, int, ints, text, texts } from './call.js';
import { answersByItem } from './executions.js';

export interface PauseItem {
  readonly requestNo: number;
  readonly workflowId: string;
  readonly reason: string | null;
}

/** `again`: it was paused before. */
export type PauseAnswer = 'paused' | 'again' | 'unknown' | 'inactive' | 'pending';

export async function pauseWorkflows(
  lane: Lane,
  schema: string,
  items: readonly PauseItem[],
  options?: QueryOptions,
): Promise<{ answers: PauseAnswer[]; hints: string | null }> {
  const rows = await lane.query<{ item: number; status: string }>(
    call(schema, 'pause', [
      boolean(false),
      bigints(items.map((item) => item.requestNo)),
      texts(items.map((item) => item.workflowId)),
      texts(items.map((item) => item.reason)),
    ]),
    options,
  );
  return answersByItem(rows, items.length, (row) => row.status as PauseAnswer);
}

export type ResumeItem = Omit<PauseItem, 'reason'>;

/** `again`: nothing of it was paused or blocked. */
export type ResumeAnswer = 'resumed' | 'again' | 'unknown' | 'inactive';

export async function resumeWorkflows(
  lane: Lane,
  schema: string,
  items: readonly ResumeItem[],
  options?: QueryOptions,
): Promise<{ answers: ResumeAnswer[]; hints: string | null }> {
  const rows = await lane.query<{ item: number; status: string }>(
    call(schema, 'resume', [
      boolean(false),
      bigints(items.map((item) => item.requestNo)),
      texts(items.map((item) => item.workflowId)),
    ]),
    options,
  );
  return answersByItem(rows, items.length, (row) => row.status as ResumeAnswer);
}

/** Of workflows: the open ones that they started. */
export async function fetchOpenChildren(
  lane: Lane,
  schema: string,
  workflowIds: readonly string[],
  options?: QueryOptions,
): Promise<string[]> {
  const rows = await lane.query<{ open_children: string }>(
    call(schema, 'open_children', [texts(workflowIds)]),
    options,
  );
  return JSON.parse(rows[0]?.open_children ?? '[]') as string[];
}

/** Where a history is cut, and what that leaves open: what the new run must wait for, and what comes back to it. */
export interface ResetCut {
  /** How many entries are kept, and how many operations those opened. */
  readonly keep: number;
  readonly opened: number;
  /** The last entry that the caller has seen. */
  readonly seen: number;
  /** Whether a cancel request stands in what is kept. */
  readonly cancelled: boolean;
  readonly timers: readonly { readonly op: number; readonly dueMs: number }[];
  readonly waits: readonly { readonly op: number; readonly signalId: string }[];
  readonly children: readonly number[];
  readonly hooks: readonly { readonly op: number; readonly signalId: string }[];
  /** Outcomes of kept activities that stand behind the cut, told again. */
  readonly outcomes: readonly { readonly op: number; readonly payload: string | null }[];
  /** What was taken behind the cut, in order. */
  readonly signals: readonly { readonly signalId: string; readonly payload: string | null }[];
}

export interface ResetRequest extends ResetCut {
  readonly requestNo: number;
  readonly runNo: number;
  /** Of a fork; null: the run's own. */
  readonly workflowId: string | null;
  readonly cause: 'reset' | 'retried';
  readonly reason: string | null;
}

export interface ResetAnswer {
  readonly status:
    | 'reset'
    | 'again'
    | 'unknown'
    | 'pending'
    | 'superseded'
    | 'not failed'
    | 'moved'
    | 'child'
    | 'duplicate';
  readonly run_no: number | null;
  readonly chain_no: number | null;
  readonly hints: string | null;
}

/** Goes back: a new run with the first entries of another. See sql/functions/reset.sql. */
export async function resetWorkflow(
  lane: Lane,
  schema: string,
  request: ResetRequest,
  options?: QueryOptions,
): Promise<ResetAnswer> {
  const { timers, waits, hooks, outcomes, signals } = request;
  const rows = await lane.query<ResetAnswer>(
    call(schema, 'reset', [
      boolean(false),
      bigint(request.requestNo),
      bigint(request.runNo),
      text(request.workflowId),
      text(request.cause),
      text(request.reason),
      int(request.keep),
      int(request.opened),
      int(request.seen),
      boolean(request.cancelled),
      ints(timers.map(({ op }) => op)),
      doubles(timers.map(({ dueMs }) => dueMs)),
      ints(waits.map(({ op }) => op)),
      texts(waits.map(({ signalId }) => signalId)),
      ints(request.children),
      ints(hooks.map(({ op }) => op)),
      texts(hooks.map(({ signalId }) => signalId)),
      ints(outcomes.map(({ op }) => op)),
      texts(outcomes.map(({ payload }) => payload)),
      texts(signals.map(({ signalId }) => signalId)),
      texts(signals.map(({ payload }) => payload)),
    ]),
    options,
  );
  return rows[0] ?? { status: 'unknown', run_no: null, chain_no: null, hints: null };
}
