/** Calls of clients: start, signal, cancel, terminate, look. */

import type { HookRefusal } from '../../core/history.js';
import type { Lane, QueryOptions } from '../database.js';
import { bigint, bigints, boolean, booleans, call, double, doubles, int, ints, text, texts } from './call.js';

export interface StartItem {
  readonly requestNo: number;
  readonly workflowId: string;
  readonly taskQueue: string;
  readonly workflowName: string;
  readonly args: string;
  readonly config: string | null;
  readonly expireS: number | null;
  readonly signalIn: boolean;
  /** What it says beyond what to run, as JSON (StoredTerms); null for an ordinary start. */
  readonly terms: string | null;
  readonly entity: string | null;
  readonly search: string | null;
  readonly parentWorkflowId: string | null;
  readonly originId: string | null;
  /** See telemetry/carrier.ts; null where nobody traces. */
  readonly trace: string | null;
}

export interface StartAnswer {
  readonly status: 'started' | 'existing' | 'duplicate';
  /** The first run of the chain that was begun, or is used; the newest run of an id that is taken. */
  readonly runNo: number;
  /** Set where the worker that the call named has it. */
  readonly owned?: { readonly serviceNo: number; readonly createdMs: number };
}

/** A worker of this process, which takes what is started of these services. */
export interface TakenHere {
  readonly workerNo: number;
  readonly claimNo: number;
  readonly services: readonly number[];
}

export async function startExecutions(
  lane: Lane,
  schema: string,
  items: readonly StartItem[],
  options?: QueryOptions,
  here: TakenHere | null = null,
): Promise<{ answers: StartAnswer[]; hints: string | null }> {
  const rows = await lane.query<{
    item: number;
    status: string;
    run_no: number;
    service_no: number;
    at_ms: number;
    owned: boolean;
  }>(
    call(
      schema,
      'start',
      [
        boolean(false),
        bigints(items.map((item) => item.requestNo)),
        texts(items.map((item) => item.workflowId)),
        texts(items.map((item) => item.taskQueue)),
        texts(items.map((item) => item.workflowName)),
        texts(items.map((item) => item.args)),
        texts(items.map((item) => item.config)),
        doubles(items.map((item) => item.expireS)),
        booleans(items.map((item) => item.signalIn)),
        texts(items.map((item) => item.terms)),
        texts(items.map((item) => item.entity)),
        texts(items.map((item) => item.search)),
        texts(items.map((item) => item.parentWorkflowId)),
        texts(items.map((item) => item.originId)),
        texts(items.map((item) => item.trace)),
        int(here?.workerNo ?? null),
        bigint(here?.claimNo ?? null),
        ints(here?.services ?? []),
      ],
      { prepare: true },
    ),
    options,
  );
  return answersByItem(rows, items.length, (row) => ({
    status: row.status as StartAnswer['status'],
    runNo: row.run_no,
    ...(row.owned && { owned: { serviceNo: row.service_no, createdMs: row.at_ms } }),
  }));
}

export interface SignalItem {
  readonly requestNo: number;
  readonly signalId: string;
  /** Null: whoever waits longest in the namespace. */
  readonly workflowId: string | null;
  /** Only while this chain carries the id; null: whatever carries it. */
  readonly chainNo: number | null;
  readonly payload: string | null;
  readonly expireMs: number;
}

export type SignalAnswer = 'delivered' | 'buffered' | 'full' | 'unknown' | 'inactive';

export async function sendSignals(
  lane: Lane,
  schema: string,
  items: readonly SignalItem[],
  options?: QueryOptions,
): Promise<{ answers: SignalAnswer[]; hints: string | null }> {
  const rows = await lane.query<{ item: number; status: string }>(
    call(
      schema,
      'signal',
      [
        boolean(false),
        bigints(items.map((item) => item.requestNo)),
        texts(items.map((item) => item.signalId)),
        texts(items.map((item) => item.workflowId)),
        texts(items.map((item) => item.payload)),
        doubles(items.map((item) => item.expireMs)),
        bigints(items.map((item) => item.chainNo)),
      ],
      { prepare: true },
    ),
    options,
  );
  return answersByItem(rows, items.length, (row) => row.status as SignalAnswer);
}

export interface HookItem {
  readonly requestNo: number;
  readonly workflowId: string;
  readonly taskQueue: string;
  readonly workflowName: string;
  readonly args: string;
  readonly config: string | null;
  readonly search: string | null;
}

export type HookAnswer =
  | { readonly status: 'hooked'; readonly id: string }
  | { readonly status: 'unhooked'; readonly reason: HookRefusal };

export async function openHooks(
  lane: Lane,
  schema: string,
  items: readonly HookItem[],
  options?: QueryOptions,
): Promise<{ answers: HookAnswer[]; hints: string | null }> {
  const rows = await lane.query<{ item: number; status: string }>(
    call(
      schema,
      'hook',
      [
        boolean(false),
        bigints(items.map((item) => item.requestNo)),
        texts(items.map((item) => item.workflowId)),
        texts(items.map((item) => item.taskQueue)),
        texts(items.map((item) => item.workflowName)),
        texts(items.map((item) => item.args)),
        texts(items.map((item) => item.config)),
        texts(items.map((item) => item.search)),
      ],
      { prepare: true },
    ),
    options,
  );
  return answersByItem(rows, items.length, ({ status }) =>
    /^\d/.test(status) ? { status: 'hooked', id: status } : { status: 'unhooked', reason: status as HookRefusal },
  );
}

/** Rows carry the item they answer; row 0 carries the hints. */
export function answersByItem<R extends { item: number; status: string }, A>(
  rows: readonly R[],
  count: number,
  answer: (row: R) => A,
): { answers: A[]; hints: string | null } {
  const answers: A[] = new Array(count);
  let hints: string | null = null;
  for (const row of rows) {
    if (row.item === 0) hints = row.status;
    else answers[row.item - 1] = answer(row);
  }
  return { answers, hints };
}

export async function cancelWorkflow(
  lane: Lane,
  schema: string,
  workflowId: string,
  chainNo: number | null,
  options?: QueryOptions,
): Promise<{ found: boolean; hints: string | null }> {
  const rows = await lane.query<{ found: boolean; hints: string }>(
    call(schema, 'cancel', [boolean(false), text(workflowId), bigint(chainNo)]),
    options,
  );
  return { found: rows[0]?.found ?? false, hints: rows[0]?.hints || null };
}

export async function terminateWorkflow(
  lane: Lane,
  schema: string,
  request: {
    requestNo: number;
    workflowId: string;
    chainNo: number | null;
    failure: string | null;
    expireS: number | null;
    descend: boolean;
  },
  options?: QueryOptions,
): Promise<{ status: 'terminated' | 'again' | 'unknown' | 'completed'; hints: string | null }> {
  const rows = await lane.query<{ status: 'terminated' | 'again' | 'unknown' | 'completed'; hints: string }>(
    call(schema, 'terminate', [
      boolean(false),
      bigint(request.requestNo),
      text(request.workflowId),
      text(request.failure),
      double(request.expireS),
      boolean(request.descend),
      bigint(request.chainNo),
    ]),
    options,
  );
  return { status: rows[0]?.status ?? 'unknown', hints: rows[0]?.hints || null };
}

export interface Descent {
  /** Whether this call ended anything, or found that nothing was left of a chain. */
  readonly worked: boolean;
  /** Whether any generation of any terminated run is left, perhaps in the hands of somebody else. */
  readonly more: boolean;
  readonly hints: string | null;
}

/** Ends some of the descendants of terminated runs. */
export async function descend(lane: Lane, schema: string, options?: QueryOptions): Promise<Descent> {
  const rows = await lane.query<Descent>(call(schema, 'descend', [boolean(false)]), options);
  return rows[0] ?? { worked: false, more: false, hints: null };
}

export interface ResultRow {
  readonly chain_no: number;
  readonly run_no: number | null;
  readonly state: 'completed' | 'failed' | 'cancelled' | 'terminated' | 'unknown';
  readonly result: string | null;
}

/** The outcomes of those chains that have ended. */
export function fetchResults(
  lane: Lane,
  schema: string,
  chains: readonly number[],
  options?: QueryOptions,
): Promise<ResultRow[]> {
  return lane.query<ResultRow>(call(schema, 'results', [bigints(chains)], { prepare: true }), options);
}

export interface Description {
  readonly run_no: number;
  readonly chain_no: number;
  readonly run: number;
  readonly state: 'pending' | 'open' | 'completed' | 'failed' | 'cancelled' | 'terminated' | 'continued';
  readonly cause: string;
  readonly task_queue: string;
  readonly workflow_name: string;
  readonly created_ms: number;
  readonly closed_ms: number | null;
  readonly updated_ms: number;
  readonly cancel_requested: boolean;
  readonly parent_workflow_id: string | null;
  readonly origin_id: string | null;
  readonly entity: string | null;
  readonly search: string | null;
  readonly args: string;
  readonly result: string | null;
  readonly thread_state: string;
  readonly blocked_reason: string | null;
  readonly entries: number;
}

/** A workflow as it stands; null when unknown. `chainNo` keeps to the chain a handle is bound to. */
export async function describeWorkflow(
  lane: Lane,
  schema: string,
  workflowId: string,
  chainNo: number | null,
  options?: QueryOptions,
): Promise<Description | null> {
  const rows = await lane.query<Description>(call(schema, 'describe', [text(workflowId), bigint(chainNo)]), options);
  return rows[0] ?? null;
}
