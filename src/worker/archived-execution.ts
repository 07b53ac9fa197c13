/** What a worker's `archive` gets: one run of a workflow that has ended, as it is before it is pruned. */

import { type ActivityDefaults, decodeOutcome, decodeSteps, type Read } from '../codec/entry-text.js';
import { decodeFailure } from '../codec/failure-text.js';
import { decodePayload } from '../codec/payload.js';
import type { Seal } from '../codec/payload-codec.js';
import { errorFromFailure } from '../core/failure.js';
import type { Decision } from '../core/history.js';
import { defaultRetryPolicy, type RetryPolicy } from '../core/retry-policy.js';
import type { DueRun } from '../postgres/protocol/retention.js';
import type { HistoryRow } from '../postgres/protocol/threads.js';

/** Keeps an execution somewhere else. Its promise resolves when that is certain. */
export type Archive = (execution: ArchivedExecution) => unknown;

export interface ArchivedExecution {
  readonly namespace: string;
  readonly workflowId: string;
  /** 0, 1, ... within the workflow id: continueAsNew gives it another run. */
  readonly run: number;
  readonly workflowName: string;
  readonly taskQueue: string;
  readonly state: 'completed' | 'failed' | 'cancelled' | 'terminated' | 'continued';
  /** Why the run began: `start`, `continued`, ... */
  readonly cause: string;
  readonly args: readonly unknown[];
  /** Of a completed run. */
  readonly result?: unknown;
  /** Of a failed, cancelled or terminated run: what `result()` rejects with. */
  readonly error?: Error;
  readonly createdAt: Date;
  readonly closedAt: Date;
  readonly entity?: string;
  readonly parentWorkflowId?: string;
  readonly originJobId?: string;
  /** Its search fields. */
  readonly search?: Readonly<Record<string, string>>;
  /** Its entity document. */
  readonly document?: Readonly<Record<string, unknown>>;
  /** Its history, entry by entry, read as it is asked for: of its main thread, then of each hook. Good while the call lasts. */
  history(): AsyncGenerator<ArchivedEntry>;
}

/** A row of history: what happened between two commits of a thread. */
export interface ArchivedEntry {
  /** 0 is the main thread, 1, 2, ... are its hooks. */
  readonly thread: number;
  /** Counts from 0 within the thread. */
  readonly seq: number;
  readonly at: Date;
  readonly steps: readonly ArchivedStep[];
}

/** An event and the commands that came out of it, as plain data. `op` connects a command with the event that settles it. */
export interface ArchivedStep {
  readonly event: { readonly kind: string; readonly op?: number; readonly [field: string]: unknown };
  readonly commands: readonly {
    readonly kind: string;
    readonly name: string;
    readonly op: number | null;
    readonly spec: unknown;
  }[];
}

/** @throws {PayloadCodecError} when it was stored with a codec or key that is not here. */
export function archivedExecution(
  row: DueRun,
  namespace: string,
  seal: Seal,
  pagesOf: (threadNo: number) => AsyncIterable<HistoryRow[]>,
): ArchivedExecution {
  return {
    namespace,
    workflowId: row.workflow_id,
    run: row.run,
    workflowName: row.workflow_name,
    taskQueue: row.task_queue,
    state: row.state,
    cause: row.cause,
    args: decodePayload(row.args, seal) as unknown[],
    ...outcomeOf(row, seal),
    createdAt: new Date(row.created_ms),
    closedAt: new Date(row.closed_ms),
    ...(row.entity !== null && { entity: row.entity }),
    ...(row.parent_workflow_id !== null && { parentWorkflowId: row.parent_workflow_id }),
    ...(row.origin_id !== null && { originJobId: row.origin_id }),
    ...(row.search !== null && { search: JSON.parse(row.search) as Record<string, string> }),
    ...(row.document !== null && { document: JSON.parse(row.document) as Record<string, unknown> }),
    history: () => entries(row, seal, pagesOf),
  };
}

function outcomeOf({ state, result }: DueRun, seal: Seal): Pick<ArchivedExecution, 'result' | 'error'> {
  if (state === 'completed') return { result: decodePayload(result, seal) };
  if (state === 'continued' || result === null) return {};
  return { error: errorFromFailure(decodeFailure(result, seal)) };
}

async function* entries(
  row: DueRun,
  seal: Seal,
  pagesOf: (threadNo: number) => AsyncIterable<HistoryRow[]>,
): AsyncGenerator<ArchivedEntry> {
  const config = row.config === null ? null : (JSON.parse(row.config) as RetryPolicy);
  const defaults: ActivityDefaults = { taskQueue: row.task_queue, retry: { ...defaultRetryPolicy, ...config } };
  let thread = 0;
  for (const threadNo of JSON.parse(row.threads) as number[]) {
    let opened = 0;
    let outcome: ReadonlyMap<number, Decision> = new Map();
    const reads = new Map<number, Read>();
    for await (const page of pagesOf(threadNo)) {
      for (const { seq, at_ms, body, outcome: decided } of page) {
        const read = decodeSteps(seq, body, opened, outcome, defaults, seal);
        opened = read.opened;
        outcome = decodeOutcome(decided, seal, reads);
        yield { thread, seq, at: new Date(at_ms), steps: read.steps.map(stepOf) };
      }
    }
    thread += 1;
  }
}

function stepOf({ event, commands }: ReturnType<typeof decodeSteps>['steps'][number]): ArchivedStep {
  return {
    event: event as ArchivedStep['event'],
    commands: commands.map(({ op, command }) => ({
      kind: command.kind,
      name: command.name,
      op,
      spec: command.spec,
    })),
  };
}
