/** Calls that look at many executions. None of them takes a lock. */

import type { ExecutionStatus, StoredFilter } from '../../core/execution-filter.js';
import type { ChangedRun } from '../../core/lifecycle-events.js';
import type { Lane, QueryOptions } from '../database.js';
import { bigint, bigints, call, int, text } from './call.js';

/** A row of `list_executions`. */
export interface ListedExecution {
  readonly run_no: number;
  readonly chain_no: number;
  readonly workflow_id: string;
  readonly run: number;
  readonly state: ExecutionStatus;
  readonly cause: string;
  readonly task_queue: string;
  readonly workflow_name: string;
  readonly started_ms: number;
  readonly closed_ms: number | null;
  readonly cancel_requested: boolean;
  readonly blocked: boolean;
  readonly parent_workflow_id: string | null;
  readonly origin_id: string | null;
  readonly entity: string | null;
  readonly search: string | null;
}

/** Which page: at most `limit` executions below `after`, a run's number; null begins with the newest. */
export interface Page {
  readonly after: number | null;
  readonly limit: number;
}

const filterJson = (filter: StoredFilter) => ({ cast: 'jsonb', value: JSON.stringify(filter) });

export function listExecutions(
  lane: Lane,
  schema: string,
  filter: StoredFilter,
  { after, limit }: Page,
  options?: QueryOptions,
): Promise<ListedExecution[]> {
  return lane.query<ListedExecution>(
    call(schema, 'list_executions', [filterJson(filter), bigint(after), int(limit)]),
    options,
  );
}

/** What lifecycle events tell of runs that a call has ended or begun: those its answer named (`changedRuns`). */
export async function fetchChangedRuns(
  lane: Lane,
  schema: string,
  runs: readonly number[],
  options?: QueryOptions,
): Promise<ChangedRun[]> {
  const rows = await lane.query<{
    state: string;
    run: number;
    workflow_id: string;
    workflow_name: string;
    task_queue: string;
    parent_workflow_id: string | null;
    origin_id: string | null;
  }>(call(schema, 'changed_runs', [bigints(runs)]), options);
  return rows.map((row) => ({
    verb: row.state === 'open' ? 'started' : row.state,
    workflowId: row.workflow_id,
    workflowName: row.workflow_name,
    taskQueue: row.task_queue,
    run: row.run,
    parentWorkflowId: row.parent_workflow_id,
    originId: row.origin_id,
  }));
}

export async function countExecutions(
  lane: Lane,
  schema: string,
  filter: StoredFilter,
  options?: QueryOptions,
): Promise<number> {
  const rows = await lane.query<{ count_executions: number }>(
    call(schema, 'count_executions', [filterJson(filter)]),
    options,
  );
  return rows[0]?.count_executions ?? 0;
}

export async function createSearchIndex(
  lane: Lane,
  schema: string,
  field: string,
  options?: QueryOptions,
): Promise<void> {
  await lane.query(call(schema, 'create_search_index', [text(field)]), options);
}

/** Why a workflow is not moving, as JSON; null when there is no such workflow. `chainNo` keeps to the chain a handle is bound to. */
export async function explainWorkflow(
  lane: Lane,
  schema: string,
  workflowId: string,
  chainNo: number | null,
  options?: QueryOptions,
): Promise<string | null> {
  const rows = await lane.query<{ explain: string | null }>(
    call(schema, 'explain', [text(workflowId), bigint(chainNo)]),
    options,
  );
  return rows[0]?.explain ?? null;
}

/** How much waits on a task queue, `limit` standing for more. */
export async function countBacklog(
  lane: Lane,
  schema: string,
  taskQueue: string,
  limit: number,
  options?: QueryOptions,
): Promise<number> {
  const rows = await lane.query<{ backlog: number }>(call(schema, 'backlog', [text(taskQueue), int(limit)]), options);
  return rows[0]?.backlog ?? 0;
}
