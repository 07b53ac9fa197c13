/** Replays a recorded history beside any worker, on the code that is here: as a worker would that claims the thread now. */

import { decodePayload, encodePayload } from '../codec/payload.js';
import type { Seal } from '../codec/payload-codec.js';
import type { ExecutionHistory, ThreadHistoryRecord } from '../core/execution-history.js';
import { readLineage } from '../core/lineage.js';
import { defaultRetryPolicy, type RetryPolicy } from '../core/retry-policy.js';
import { conclude } from '../replay/conclude.js';
import { Instance } from '../replay/instance.js';
import { Recording } from '../replay/recording.js';
import { replay } from '../replay/replay.js';
import { runAs } from '../workflow/context.js';
import { throughInbound } from '../workflow/interceptors.js';
import { type WorkerInterceptors, workflowLayers } from './interceptors.js';
import type { UserFunction } from './options.js';
import { nodeReplayPort } from './replay-port.js';
import { readHistory } from './thread-history.js';

/** What a worker would bring along. */
export interface ReplayingCode {
  readonly run: UserFunction;
  readonly interceptors: Required<WorkerInterceptors>;
  /** For workflows without a `config` of their own. */
  readonly retry: RetryPolicy;
  /** How long a recorded command that has not come is waited for. */
  readonly lateCommandMs: number;
  readonly seal: Seal;
}

/**
 * Feeds a thread's entries to a fresh run of its function. Its activities are not run, its effects go nowhere.
 *
 * @throws {NondeterminismError} when the code does something else than the history records.
 * @throws {PayloadCodecError} when the history cannot be read.
 */
export async function replayRecorded(
  { namespace, workflowId }: ExecutionHistory,
  thread: ThreadHistoryRecord,
  { run, interceptors, retry: usual, lateCommandMs, seal }: ReplayingCode,
): Promise<void> {
  const { workflowName, taskQueue, hookNo, hookSignal, requestNo, threadNo } = thread;
  const retry: RetryPolicy =
    thread.config === null ? usual : { ...defaultRetryPolicy, ...(JSON.parse(thread.config) as RetryPolicy) };
  const rows = thread.entries.map((entry, seq) => ({ ...entry, seq, commit_no: 0, at_ms: 0, closes: false }));
  const { steps, opened, attempt } = readHistory({ workflowId, taskQueue, retry }, rows, seal);
  if (steps.length === 0) return; // ended before it began
  const layers = workflowLayers(interceptors);
  const args = decodePayload(thread.args, seal) as unknown[];
  if (hookSignal !== null) args.push({ signal: hookSignal, $durable: true });
  const recording = new Recording(steps);
  const instance = new Instance({
    info: {
      workflowId,
      workflowName,
      taskQueue,
      namespace,
      hookNo,
      runNo: thread.runNo,
      run: thread.run,
      // As owned-threads.ts makes it.
      seed: hookNo === null ? String(requestNo) : `${requestNo}-${threadNo}`,
      lineage: readLineage(thread.lineage),
      createdMs: thread.createdMs,
      parentWorkflowId: thread.parentWorkflowId,
      originId: thread.originId,
      trace: thread.trace,
      expireS: thread.expireS,
      retry,
      attempt,
    },
    run: (live) =>
      runAs(live, async () =>
        layers === null ? run(...args) : throughInbound({ ...layers, connection: undefined }, args, run),
      ),
    conclude: (outcome, info) =>
      conclude(outcome, info, (value) => (info.hookNo === null ? encodePayload(value, 'result') : null)),
    recording,
    onLateCommand: () => {},
  });
  instance.opened = opened;
  try {
    await replay(instance, recording, nodeReplayPort, lateCommandMs);
  } finally {
    instance.dispose();
  }
}
