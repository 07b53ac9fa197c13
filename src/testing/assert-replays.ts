/** Replays recorded histories on the code that is here: what a deploy would do to executions that are under way. */

import * as v from 'valibot';
import { registeredSeal } from '../codec/payload-codec.js';
import { InvalidArgumentError, NondeterminismError } from '../core/errors.js';
import type { ThreadHistoryRecord } from '../core/execution-history.js';
import { parseOptions } from '../core/options.js';
import { resolveInterceptors, type WorkerInterceptors } from '../worker/interceptors.js';
import {
  functionsOf,
  resolveTuning,
  type UserFunction,
  type UserFunctions,
  type WorkerTuning,
} from '../worker/options.js';
import { type ReplayingCode, replayRecorded } from '../worker/recorded-replay.js';
import { type HistorySource, type NamedHistory, readHistories } from './history-files.js';

/** Options of {@link assertReplays}: what the worker of these workflows is given. */
export interface AssertReplaysOptions {
  /** Its retry policy, where it has one, and `lateCommandTimeout`, here 1 s by default. */
  readonly options?: WorkerTuning;
  readonly interceptors?: WorkerInterceptors;
}

const shape = v.strictObject({
  options: v.optional(v.looseObject({})),
  interceptors: v.optional(v.unknown()),
});

/** What {@link assertReplays} has replayed. */
export interface ReplayReport {
  readonly histories: number;
  /** Main threads and hooks, of all runs. */
  readonly threads: number;
  readonly entries: number;
}

/** A thread whose history does not fit the code. */
export interface ReplayMismatch {
  readonly workflowId: string;
  readonly workflowName: string;
  readonly run: number;
  readonly hookNo: number | null;
  /** Where the history was read from; null when it was given as a value. */
  readonly file: string | null;
  /** The history entry; null when it is not the code that differs, see `error`. */
  readonly entry: number | null;
  /** The command that the entry records, and the one that the code produced there; null: none. */
  readonly expected: string | null;
  readonly found: string | null;
  /** Where the code made it, as far as that is known. */
  readonly location: string | null;
  readonly error: Error;
}

/** Recorded histories that do not fit the code. Its message names each with entry, expected and found command. */
export class ReplayError extends Error {
  override readonly name = 'ReplayError';
  constructor(readonly mismatches: readonly ReplayMismatch[]) {
    super(
      `${mismatches.length === 1 ? 'a recorded history does' : `${mismatches.length} recorded histories do`} not fit this code ` +
        `(put changes behind patched()):\n${mismatches.map((mismatch) => `  ${inWords(mismatch)}`).join('\n')}`,
      { cause: mismatches[0]?.error },
    );
  }
}

const CALL = 'assertReplays';
const LATE_COMMAND_MS = 1_000;

/**
 * Replays recorded histories on workflow functions, as a worker with this code would that takes them over: events are delivered
 * as recorded, and each durable call must be the one that was recorded. No activity runs, nothing is stored, no database is needed.
 *
 * @param histories What `handle.exportHistory()` gave: values, JSON files, folders of such files, or an array of these.
 * @param workflows All functions that the histories name, hooks included.
 * @throws {ReplayError} when a history does not fit, behind the replay of all.
 * @throws {InvalidArgumentError} for what is no history, and for a workflow that is not among the functions.
 *
 * @example
 * await assertReplays('test/histories', { order, tell });
 */
export async function assertReplays(
  histories: HistorySource | readonly HistorySource[],
  workflows: UserFunction | UserFunctions,
  options: AssertReplaysOptions = {},
): Promise<ReplayReport> {
  const given = parseOptions(CALL, shape, options);
  const functions = functionsOf(CALL, 'workflows', workflows, true);
  const { retry, lateCommandMs } = resolveTuning(CALL, { lateCommandTimeout: LATE_COMMAND_MS, ...given.options });
  const code = {
    interceptors: resolveInterceptors(CALL, given.interceptors as WorkerInterceptors | undefined),
    retry,
    lateCommandMs,
    seal: registeredSeal,
  };
  const named = await readHistories(CALL, Array.isArray(histories) ? histories : [histories as HistorySource]);
  const mismatches: ReplayMismatch[] = [];
  const report = { histories: named.length, threads: 0, entries: 0 };
  for (const source of named) {
    for (const thread of source.history.threads) {
      const mismatch = await replayed(source, thread, { ...code, run: functionOf(functions, source, thread) });
      if (mismatch !== null) mismatches.push(mismatch);
      report.threads++;
      report.entries += thread.entries.length;
    }
  }
  if (mismatches.length > 0) throw new ReplayError(mismatches);
  return report;
}

function functionOf(
  functions: ReadonlyMap<string, UserFunction>,
  { file, history }: NamedHistory,
  { workflowName }: ThreadHistoryRecord,
): UserFunction {
  const found = functions.get(workflowName);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(
    `${CALL}: workflows must have "${workflowName}", which ${file ?? `the history of "${history.workflowId}"`} records; ` +
      `got ${[...functions.keys()].join(', ')}`,
  );
}

async function replayed(
  { file, history }: NamedHistory,
  thread: ThreadHistoryRecord,
  code: ReplayingCode,
): Promise<ReplayMismatch | null> {
  try {
    await replayRecorded(history, thread, code);
    return null;
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    const differs = error instanceof NondeterminismError ? error : null;
    return {
      workflowId: history.workflowId,
      workflowName: thread.workflowName,
      run: thread.run,
      hookNo: thread.hookNo,
      file,
      entry: differs?.entry ?? null,
      expected: differs?.recorded ?? null,
      found: differs?.produced ?? null,
      location: differs?.location ?? null,
      error,
    };
  }
}

function inWords({ file, workflowId, workflowName, run, hookNo, ...mismatch }: ReplayMismatch): string {
  const hook = hookNo === null ? '' : `, hook ${hookNo}`;
  const whose = `${workflowName} "${workflowId}"${run === 0 ? '' : `, run ${run}`}${hook}${file === null ? '' : ` (${file})`}`;
  const { entry, expected, found, location, error } = mismatch;
  if (entry === null) return `${whose}: ${error.message}`;
  const at = location === null ? '' : ` at ${location}`;
  return `${whose}: entry ${entry}: expected ${expected ?? 'nothing'}, found ${found ?? 'nothing'}${at}`;
}
