/** `exportHistory`: the histories of a workflow's threads as they are stored, to be replayed on other code. */

import { GetStateError } from '../core/errors.js';
import type { ExecutionHistory, RecordedEntry, ThreadHistoryRecord } from '../core/execution-history.js';
import type { RecordedThreadRow, ThreadToReplayRow } from '../postgres/protocol/exports.js';
import { describeForExport, type ExportSource, threadsOf } from './execution-export.js';

const PAGE = { entries: 1_000, bytes: 1_048_576 };

/**
 * Up to where it stands now. Earlier runs of the chain that were pruned are left out.
 *
 * @throws {GetStateError} (404) when there is no such workflow, or its newest run is pruned meanwhile.
 */
export async function exportHistory(
  source: ExportSource,
  workflowId: string,
  chainNo: number | null,
): Promise<ExecutionHistory> {
  const found = await describeForExport(source, workflowId, chainNo);
  const recorded = found.state === 'pending' ? [] : await threadsOf(source, workflowId, found);
  const entriesOf = new Map(recorded.map((row) => [row.thread_no, row]));
  const threads: ThreadHistoryRecord[] = [];
  for (const row of await source.link.threadsToReplay([...new Set(recorded.map(({ run_no }) => run_no))])) {
    const thread = entriesOf.get(row.thread_no); // a hook that was opened since has none
    const entries = thread === undefined ? null : await readEntries(source, thread);
    if (entries !== null) threads.push(recordOf(row, entries));
    else if (thread?.run_no === found.run_no) throw new GetStateError(workflowId);
  }
  if (recorded.length > 0 && threads.length === 0) throw new GetStateError(workflowId);
  return { format: 1, namespace: source.link.namespace, workflowId, threads };
}

/** As far as they went when it was described; null when they are gone. */
async function readEntries({ link }: ExportSource, thread: RecordedThreadRow): Promise<RecordedEntry[] | null> {
  const entries: RecordedEntry[] = [];
  while (entries.length < thread.entries) {
    const page = await link.readHistories([{ threadNo: thread.thread_no, seq: entries.length }], PAGE);
    if (page.length === 0) return null;
    entries.push(...page.map(({ body, outcome }) => ({ body, outcome })));
  }
  return entries.slice(0, thread.entries);
}

function recordOf(row: ThreadToReplayRow, entries: readonly RecordedEntry[]): ThreadHistoryRecord {
  return {
    workflowName: row.workflow_name,
    taskQueue: row.task_queue,
    run: row.run,
    hookNo: row.hook_no,
    hookSignal: row.hook_signal,
    runNo: row.run_no,
    threadNo: row.thread_no,
    requestNo: row.request_no,
    createdMs: row.created_ms,
    parentWorkflowId: row.parent_workflow_id,
    originId: row.origin_id,
    trace: row.trace,
    expireS: row.expire_s,
    lineage: row.lineage,
    args: row.args,
    config: row.config,
    entries,
  };
}
