/** Replays stored histories beside any worker: the whole, or as a worker would find them had the others died earlier. */

import { decodeOutcome, decodeSteps } from '../../src/codec/entry-text.js';
import { encodePayload } from '../../src/codec/payload.js';
import type { RecordedStep } from '../../src/core/history.js';
import { defaultRetryPolicy, type RetryPolicy } from '../../src/core/retry-policy.js';
import { conclude } from '../../src/replay/conclude.js';
import { Instance } from '../../src/replay/instance.js';
import { Recording } from '../../src/replay/recording.js';
import { replay } from '../../src/replay/replay.js';
import { failedAttempts, type OpenOperation, replayOpen } from '../../src/worker/open-operation.js';
import { runAs } from '../../src/workflow/context.js';
import type { Engine } from './worker.js';

export interface StoredRun {
  readonly workflowId: string;
  readonly workflowName: string;
  readonly run: number;
  readonly runNo: number;
  readonly seed: string;
  readonly args: string;
  readonly config: string | null;
  readonly createdMs: number;
  readonly parentWorkflowId: string | null;
  readonly originId: string | null;
  readonly trace: string | null;
  readonly taskQueue: string;
  /** Of a hook. */
  readonly hookNo: number | null;
  readonly hookSignal: string | null;
  readonly entries: readonly { readonly body: string; readonly outcome: string | null }[];
}

/** Every run of a database whose thread ended by itself, with its history. */
export async function storedRuns(engine: Engine): Promise<StoredRun[]> {
  return await engine.sql<StoredRun & Record<string, unknown>>(
    `select e.workflow_id as "workflowId", s.name as "workflowName", e.run, e.run_no::int as "runNo",
       e.request_no::text || coalesce('-' || k.thread_no, '') as seed,
       k.hook_no as "hookNo", k.signal_id as "hookSignal",
       coalesce(k.args, e.args) as args, coalesce(k.config, e.config) as config, extract(epoch from e.created_at)::float8 * 1000 as "createdMs", s.task_queue as "taskQueue",
       e.parent_workflow_id as "parentWorkflowId", e.origin_id as "originId", e.trace,
       (select json_agg(json_build_object('body', h.body, 'outcome', h.outcome) order by h.seq)
        from history h where h.thread_no = t.thread_no) as entries
     from thread t join execution e using (run_no) join service s on s.service_no = t.service_no left join hook k using (thread_no)
     where coalesce(k.state, e.state) in ('completed', 'failed', 'cancelled', 'continued')`,
  );
}

/**
 * Replays the first `length` entries as a worker does that claims the run then.
 * @returns what was wrong, or null.
 */
export async function replaysFrom(
  run: StoredRun,
  length: number,
  functions: Readonly<Record<string, (...args: never[]) => Promise<unknown>>>,
): Promise<string | null> {
  const retry: RetryPolicy = { ...defaultRetryPolicy, ...(JSON.parse(run.config ?? '{}') as Partial<RetryPolicy>) };
  const { steps, opened } = decodeRun(run, length, retry);
  const open = new Map<number, OpenOperation>();
  replayOpen(open, steps);
  // Between two attempts there is no instance: the next one is fed the same history when it is due.
  if ([...open.values()].some(({ kind }) => kind === 'retry')) return null;
  const recording = new Recording(steps);
  const instance = new Instance({
    info: { ...run, namespace: 'durable', expireS: null, retry, attempt: failedAttempts(steps) + 1 },
    run: (instance) =>
      runAs(instance, async () => {
        const args = JSON.parse(run.args) as unknown[];
        if (run.hookSignal !== null) args.push({ signal: run.hookSignal, $durable: true });
        return await functions[run.workflowName]?.(...(args as never[]));
      }),
    conclude: (outcome, info) => conclude(outcome, info, (value) => encodePayload(value, 'result')),
    recording,
    onLateCommand: () => {},
  });
  instance.opened = opened;
  try {
    await replay(instance, recording, port, 2_000);
  } catch (error) {
    return (error as Error).message;
  }
  const ended = length === run.entries.length;
  if (instance.ended !== ended) return ended ? 'the run is still open' : 'the run has ended';
  const lost = ended ? [] : [...open.keys()].filter((op) => !instance.pending.has(op));
  instance.dispose();
  return lost.length === 0 ? null : `nobody awaits operations ${lost.join(', ')}`;
}

function decodeRun(run: StoredRun, length: number, retry: RetryPolicy): { steps: RecordedStep[]; opened: number } {
  const steps: RecordedStep[] = [];
  let opened = 0;
  let outcome = decodeOutcome(null);
  for (const [seq, entry] of run.entries.slice(0, length).entries()) {
    const read = decodeSteps(seq, entry.body, opened, outcome, { taskQueue: run.taskQueue, retry });
    steps.push(...read.steps);
    opened = read.opened;
    outcome = decodeOutcome(entry.outcome);
  }
  return { steps, opened };
}

const port = {
  drained: () => new Promise<void>((resolve) => queueMicrotask(() => process.nextTick(resolve))),
  turn: () => new Promise<void>((resolve) => setImmediate(resolve)),
  async patience(until: Promise<void>, ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), ms);
    });
    const came = await Promise.race([until.then(() => true), late]);
    clearTimeout(timer);
    return came;
  },
};
