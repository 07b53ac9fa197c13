/** Calls that prune runs that have ended. */

import type { Lane, QueryOptions } from '../database.js';
import { bigint, bigints, boolean, call, double, int } from './call.js';

export interface Pruned {
  /** How many runs went. */
  readonly pruned: number;
  /** Whether there is more to do at once, here or by others. */
  readonly more: boolean;
}

/** Prunes some of the runs that are due. */
export async function prune(lane: Lane, schema: string, options?: QueryOptions): Promise<Pruned> {
  return (await lane.query<Pruned>(call(schema, 'prune', []), options))[0] ?? { pruned: 0, more: false };
}

/** A run that is due, for whoever archives it. */
export interface DueRun {
  readonly run_no: number;
  readonly run: number;
  readonly workflow_id: string;
  readonly state: 'completed' | 'failed' | 'cancelled' | 'terminated' | 'continued';
  readonly cause: string;
  readonly task_queue: string;
  readonly workflow_name: string;
  readonly created_ms: number;
  readonly closed_ms: number;
  readonly parent_workflow_id: string | null;
  readonly origin_id: string | null;
  readonly entity: string | null;
  readonly args: string;
  readonly config: string | null;
  /** Its result, its failure, or what the next run was given. */
  readonly result: string | null;
  readonly search: string | null;
  readonly document: string | null;
  /** Its threads, as a JSON array; the main one carries the number of the run. */
  readonly threads: string;
}

/** Up to `limit` runs that are due; nobody else gets them for `againS` seconds. */
export function takeDueRuns(lane: Lane, schema: string, limit: number, againS: number): Promise<DueRun[]> {
  return lane.query<DueRun>(call(schema, 'take_due_runs', [int(limit), double(againS)]));
}

/** Prunes runs that were archived. Those that somebody holds stay. @returns how many went. */
export async function pruneArchived(lane: Lane, schema: string, runNos: readonly number[]): Promise<number> {
  const rows = await lane.query<{ prune_archived: number }>(call(schema, 'prune_archived', [bigints(runNos)]));
  return rows[0]?.prune_archived ?? 0;
}

/** Whether runs are archived before they are pruned, from now on and for all workers. */
export async function setArchiving(lane: Lane, schema: string, on: boolean): Promise<void> {
  await lane.query(call(schema, 'set_archiving', [boolean(on)]));
}

export interface Marked {
  /** How many of the runs on this page ended so long ago. */
  readonly ended: number;
  /** The last run on this page; null behind the end. */
  readonly lastRun: number | null;
}

/** Makes the next runs behind `afterRun` due that ended more than `olderS` seconds ago, unless it is a dry run. */
export async function makeDue(
  lane: Lane,
  schema: string,
  request: { afterRun: number; olderS: number; dryRun: boolean },
  options?: QueryOptions,
): Promise<Marked> {
  const rows = await lane.query<{ ended: number; last_run: number | null }>(
    call(schema, 'make_due', [bigint(request.afterRun), double(request.olderS), boolean(request.dryRun)]),
    options,
  );
  return { ended: rows[0]?.ended ?? 0, lastRun: rows[0]?.last_run ?? null };
}
