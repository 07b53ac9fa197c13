/** Calls that read what is recorded of a workflow, a page at a time. */

import type { Lane, QueryOptions } from '../database.js';
import { bigint, bigints, call, int, ints, texts } from './call.js';

export interface RecordedThreadRow {
  readonly thread_no: number;
  readonly run_no: number;
  /** 0, and one more with each continueAsNew. */
  readonly generation: number;
  /** Null: the main thread of its run. */
  readonly hook_no: number | null;
  readonly task_queue: string;
  readonly workflow_name: string;
  /** When its run was made. */
  readonly created_ms: number;
  /** How far its history goes. */
  readonly entries: number;
  /** Of the first of all: the arguments. */
  readonly args: string | null;
}

/** The threads that tell the life of a run, with those of the runs it was continued from. */
export function fetchRecordedThreads(
  lane: Lane,
  schema: string,
  runNo: number,
  options?: QueryOptions,
): Promise<RecordedThreadRow[]> {
  return lane.query<RecordedThreadRow>(call(schema, 'recorded_threads', [bigint(runNo)]), options);
}

/** As a claim hands it out, see `ClaimedThread`. */
export interface ThreadToReplayRow {
  readonly thread_no: number;
  readonly run_no: number;
  readonly run: number;
  readonly hook_no: number | null;
  readonly hook_signal: string | null;
  readonly task_queue: string;
  readonly workflow_name: string;
  readonly request_no: number;
  readonly created_ms: number;
  readonly parent_workflow_id: string | null;
  readonly origin_id: string | null;
  readonly trace: string | null;
  readonly expire_s: number | null;
  readonly lineage: string | null;
  readonly args: string;
  readonly config: string | null;
}

/** What a replay of the runs' threads needs beside their histories, in the order of the runs. */
export function fetchThreadsToReplay(
  lane: Lane,
  schema: string,
  runs: readonly number[],
  options?: QueryOptions,
): Promise<ThreadToReplayRow[]> {
  return lane.query<ThreadToReplayRow>(call(schema, 'threads_to_replay', [bigints(runs)]), options);
}

export interface RecordedEntryRow {
  readonly thread_no: number;
  readonly seq: number;
  readonly at_ms: number;
  readonly body: string;
  readonly outcome: string | null;
  readonly closes: boolean;
}

export interface HistoryPageSize {
  readonly entries: number;
  readonly bytes: number;
}

/** The next page of each of the threads. */
export function readHistories(
  lane: Lane,
  schema: string,
  from: readonly { readonly threadNo: number; readonly seq: number }[],
  page: HistoryPageSize,
  options?: QueryOptions,
): Promise<RecordedEntryRow[]> {
  return lane.query<RecordedEntryRow>(
    call(schema, 'read_histories', [
      bigints(from.map(({ threadNo }) => threadNo)),
      ints(from.map(({ seq }) => seq)),
      int(page.entries),
      int(page.bytes),
    ]),
    options,
  );
}

export interface ChildChainRow {
  readonly workflow_id: string;
  readonly chain_no: number;
}

/** The chains of these ids that the parent's chain has started. */
export function fetchChildren(
  lane: Lane,
  schema: string,
  chainNo: number,
  workflowIds: readonly string[],
  options?: QueryOptions,
): Promise<ChildChainRow[]> {
  return lane.query<ChildChainRow>(call(schema, 'children_of', [bigint(chainNo), texts(workflowIds)]), options);
}
