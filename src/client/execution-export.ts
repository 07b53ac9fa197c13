/** `exportExecution`: what happened in a workflow, in order, made from its histories a page at a time. */

import { decodeFailure } from '../codec/failure-text.js';
import { decodePayload } from '../codec/payload.js';
import type { Seal } from '../codec/payload-codec.js';
import { GetStateError } from '../core/errors.js';
import type { Failure } from '../core/failure.js';
import { isLiteralField } from '../core/search-fields.js';
import type { Description } from '../postgres/protocol/executions.js';
import type { RecordedThreadRow } from '../postgres/protocol/exports.js';
import { ExecutionEvents } from './execution-events.js';
import type { ExecutionExportOptions, WorkflowExecution, WorkflowExecutionEvent } from './export-types.js';
import type { Link } from './link.js';
import { readSteps } from './recorded-history.js';
import { RecordedOperations } from './recorded-operations.js';

/** Where exports are read from. */
export interface ExportSource {
  readonly link: Link;
  readonly seal: Seal;
}

const DEFAULT_DEPTH = 5;
/** Children that are looked up together. */
const MOST_CHILDREN_AT_ONCE = 1_000;

/** @throws {GetStateError} (404) when there is no such workflow. */
export async function describeForExport(
  { link }: ExportSource,
  workflowId: string,
  chainNo: number | null,
): Promise<Description> {
  const found = await link.describe(workflowId, chainNo);
  if (found === null) throw new GetStateError(workflowId);
  return found;
}

/** The threads of a workflow as far as they went when it was described. @throws {GetStateError} when it was pruned since. */
export async function threadsOf(
  { link }: ExportSource,
  workflowId: string,
  found: Description,
): Promise<RecordedThreadRow[]> {
  const rows = await link.recordedThreads(found.run_no);
  if (rows.length === 0) throw new GetStateError(workflowId);
  return rows.map((row) => (row.thread_no === found.run_no ? { ...row, entries: found.entries } : row));
}

/** A workflow's search fields, as far as they are user data. */
export function userDataOf({ search }: Description): Record<string, string> {
  const fields = search === null ? {} : (JSON.parse(search) as Record<string, string>);
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !isLiteralField(name)));
}

/** @throws {GetStateError} when it is pruned meanwhile. @throws {PayloadCodecError} when a payload cannot be opened. */
export async function* eventsOf(
  source: ExportSource,
  workflowId: string,
  found: Description,
  events: ExecutionEvents,
  options: ExecutionExportOptions,
): AsyncGenerator<WorkflowExecutionEvent> {
  if (found.state === 'pending') return; // it has an id, no more
  const rows = await threadsOf(source, workflowId, found);
  const first = rows[0] as RecordedThreadRow;
  const type = { workflowName: found.workflow_name, taskQueue: found.task_queue };
  yield events.started(first.created_ms, type, inputOf(source, found, first, options));

  const operations = new RecordedOperations();
  for await (const { thread, step } of readSteps(workflowId, rows, source)) {
    for (const happening of operations.happenings(thread, step)) {
      const event = events.happened(happening);
      if (event !== null) yield event;
    }
  }
  if (found.closed_ms === null) return;
  if (found.state === 'completed') yield events.completed(found.closed_ms, decodePayload(found.result, source.seal));
  else yield events.failed(found.closed_ms, failureOf(source, workflowId, found));
}

/**
 * The entry of the run's main thread that holds an event of {@link eventsOf}; null for an event of another thread or run, and for
 * none.
 *
 * @throws as {@link eventsOf}.
 */
export async function entryOfEvent(
  source: ExportSource,
  workflowId: string,
  found: Description,
  eventId: number,
): Promise<number | null> {
  const rows = await threadsOf(source, workflowId, found);
  const operations = new RecordedOperations();
  const events = new ExecutionEvents();
  let last = events.started(found.created_ms, { workflowName: '', taskQueue: '' }, undefined).event_id;
  for await (const { thread, step } of readSteps(workflowId, rows, source)) {
    const isMain = thread.threadNo === found.run_no;
    if (last === eventId) return isMain ? step.entry : null;
    for (const happening of operations.happenings(thread, step)) {
      last = events.happened(happening)?.event_id ?? last;
      if (last === eventId) return isMain ? step.entry : null;
    }
  }
  return null;
}

function inputOf(
  { seal }: ExportSource,
  found: Description,
  first: RecordedThreadRow,
  { enrich_inputs: enriched = false }: ExecutionExportOptions,
): unknown {
  const data = userDataOf(found);
  if (Object.keys(data).length > 0) return data;
  return enriched && first.args !== null ? decodePayload(first.args, seal) : undefined;
}

function failureOf({ seal }: ExportSource, workflowId: string, { state, result }: Description): Failure | null {
  if (result === null) return null;
  const failure = decodeFailure(result, seal);
  // One that ended with its ancestor carries the ancestor's reason, and its own id.
  return state === 'terminated' ? { ...failure, job_id: workflowId } : failure;
}

/** @throws as {@link eventsOf}, and {GetStateError} (404) when there is no such workflow. */
export async function exportExecution(
  source: ExportSource,
  workflowId: string,
  chainNo: number | null,
  options: ExecutionExportOptions,
  depth = options.max_depth ?? DEFAULT_DEPTH,
): Promise<WorkflowExecution> {
  const found = await describeForExport(source, workflowId, chainNo);
  const counting = new ExecutionEvents(options);
  const events: WorkflowExecutionEvent[] = [];
  for await (const event of eventsOf(source, workflowId, found, counting, options)) events.push(event);
  const start = events[0]?.event_time ?? new Date(Math.floor(found.created_ms)).toISOString();
  const end = found.closed_ms === null ? undefined : events.at(-1);
  return {
    workflow_id: workflowId,
    workflow_type: found.workflow_name,
    task_queue: found.task_queue,
    status: standingOf(found),
    start_time: start,
    close_time: end?.event_time ?? null,
    duration_ms: end?.duration_ms ?? null,
    result: options.omit_results ? null : resultOf(source, found),
    events,
    summary: counting.summary,
    ...(options.mode === 'verbose' && {
      children: depth === 0 ? [] : await childrenOf(source, found.chain_no, events, options, depth - 1),
    }),
    ...(options.include_lineage && {
      parent_workflow_id: found.parent_workflow_id,
      origin_id: found.origin_id,
    }),
  };
}

function standingOf({ state }: Description): WorkflowExecution['status'] {
  if (state === 'completed') return 'completed';
  return state === 'failed' || state === 'cancelled' || state === 'terminated' ? 'failed' : 'running';
}

function resultOf({ seal }: ExportSource, found: Description): unknown {
  const response = found.state === 'completed' ? decodePayload(found.result, seal) : undefined;
  if (response !== undefined) return response;
  const data = userDataOf(found);
  return Object.keys(data).length > 0 ? data : null;
}

/** One after the other. Children that were pruned are skipped. */
async function childrenOf(
  source: ExportSource,
  chainNo: number,
  events: readonly WorkflowExecutionEvent[],
  options: ExecutionExportOptions,
  depth: number,
): Promise<WorkflowExecution[]> {
  const children: WorkflowExecution[] = [];
  const ids = [...new Set(events.flatMap(({ attributes }) => startedChildOf(attributes)))];
  for (let at = 0; at < ids.length; at += MOST_CHILDREN_AT_ONCE) {
    const chains = await source.link.childrenOf(chainNo, ids.slice(at, at + MOST_CHILDREN_AT_ONCE));
    for (const { workflow_id: id, chain_no: chain } of chains) {
      try {
        children.push(await exportExecution(source, id, chain, options, depth));
      } catch (error) {
        if (!(error instanceof GetStateError)) throw error;
      }
    }
  }
  return children;
}

function startedChildOf(attributes: WorkflowExecutionEvent['attributes']): string[] {
  return attributes.kind === 'child_workflow_execution_started' ? [attributes.child_workflow_id] : [];
}
