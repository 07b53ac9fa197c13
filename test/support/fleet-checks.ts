/**
 * What must hold for workflows that have run, whatever happened to them: their histories replay as they were recorded, plain
 * JavaScript ends as they did, and nothing is lost, doubled or left over.
 */

import { isDeepStrictEqual } from 'node:util';
import { decodePayload } from '../../src/codec/payload.js';
import type { RecordedStep } from '../../src/core/history.js';
import type { HistoryRow } from '../../src/postgres/protocol/threads.js';
import { failedAttempts } from '../../src/worker/open-operation.js';
import type { ModelRows, ModelThread } from './model-rows.js';
import type { ModelStore } from './model-store.js';
import { codeOfFunction } from './simulated-fleet.js';
import { type Ending, plainEnding } from './simulated-oracle.js';
import { argsOf, infoOf } from './simulated-process.js';
import { replayRows, stepsOf } from './simulated-run.js';

/** @throws when something is wrong. */
export async function checkFleet(store: ModelStore): Promise<void> {
  const { rows } = store;
  checkRows(rows);
  for (const thread of rows.threads.values()) await checkThread(rows, thread);
}

function checkRows(rows: ModelRows): void {
  const left = {
    inbox: rows.inbox.size,
    waits: rows.waits.size,
    tasks: rows.tasks.size,
    timers: [...rows.threads.values()].reduce((sum, { timers }) => sum + timers.size, 0),
  };
  if (!isDeepStrictEqual(left, { inbox: 0, waits: 0, tasks: 0, timers: 0 }))
    throw new Error(`rows of what has ended are left: ${JSON.stringify(left)}`);
  for (const { no, history } of rows.threads.values()) {
    const closings = history.filter(({ closes }) => closes).length;
    if (closings !== 1 || history.at(-1)?.closes !== true) throw new Error(`thread ${no} was closed ${closings} times`);
    if (history.some(({ epoch }, seq) => epoch < (history[seq - 1]?.epoch ?? 0)))
      throw new Error(`an earlier owner of thread ${no} wrote behind a later one`);
  }
  for (const { workflowId, documents } of rows.runs.values()) {
    const { list } = (documents.entity ?? {}) as { list?: string[] };
    if (list !== undefined && new Set(list).size < list.length)
      throw new Error(`${workflowId} has appended something twice: ${list.join()}`);
  }
  const emitted = rows.emissions.map(({ thread, topic }) => `${thread} ${topic}`);
  if (new Set(emitted).size < emitted.length) throw new Error(`an event was emitted twice: ${emitted.join()}`);
}

async function checkThread(rows: ModelRows, thread: ModelThread): Promise<void> {
  const run = rows.runOf(thread.no);
  const hook = rows.hooks.get(thread.no);
  const last = thread.history.at(-1);
  const fromOutside = last?.worker === 0;
  const history = thread.history.filter(({ worker }) => worker !== 0);
  if (history.length === 0) return;
  const row = {
    workflow_id: run.workflowId,
    thread_no: thread.no,
    run_no: run.no,
    request_no: run.request,
    run: run.run,
    hook_no: hook?.hookNo ?? null,
    hook_signal: hook?.signalId ?? null,
    args: hook?.args ?? run.args,
    config: hook?.config ?? run.config,
    expire_s: run.expireS,
    created_ms: run.createdMs,
    parent_workflow_id: run.parentWorkflowId,
    origin_id: run.originId,
  };
  const info = infoOf(row as Parameters<typeof infoOf>[0], rows.serviceName(thread.service));
  const steps = stepsOf(history, info);
  checkTimers(thread.no, history, steps);
  const retried = steps.filter(({ event }) => event.kind === 'retry').length;
  if (failedAttempts(steps) > retried) return; // it was ended while its retry was pending: no attempt has seen all of this
  const code = codeOfFunction(info.workflowName, argsOf(row), info.retry.maximumAttempts);
  const {
    ending,
    entries,
    facts,
    info: told,
  } = await replayRows({
    rows: history,
    info,
    run: (_instance, calls) => code.perform(calls),
    late: false,
    open: fromOutside,
  });
  if (ending === null) return;
  const stored = { state: hook?.state ?? run.state, result: thread.history.at(-1)?.result ?? null };
  checkEnding(`thread ${thread.no} of ${run.workflowId}`, ending, stored, hook !== undefined);
  const plain = await plainEnding(code, { told: entries.flat(), facts, late: false, info: told });
  // Nobody gets what a hook returns.
  const returned = hook !== undefined && plain.state === 'completed' ? { ...plain, value: undefined } : plain;
  if (!isDeepStrictEqual(returned, ending))
    throw new Error(
      `thread ${thread.no} ended ${JSON.stringify(ending)}, in plain JavaScript ${JSON.stringify(plain)}`,
    );
}

/** A timer fires when it is due by the database's clock, never before. */
function checkTimers(threadNo: number, history: readonly HistoryRow[], steps: readonly RecordedStep[]): void {
  const dueAt = new Map<number, number>();
  for (const { entry, event, commands } of steps) {
    const at = history[entry]?.at_ms ?? 0;
    if (event.kind === 'fire' && at < (dueAt.get(event.op) ?? 0))
      throw new Error(`a timer of thread ${threadNo} fired ${(dueAt.get(event.op) ?? 0) - at} ms early`);
    for (const { op, command } of commands) {
      if (op !== null && command.kind === 'timer') dueAt.set(op, at + command.spec.ms);
      if (op !== null && command.kind === 'wait' && command.spec.timeoutMs !== null)
        dueAt.set(op, at + command.spec.timeoutMs);
    }
  }
}

function checkEnding(
  who: string,
  ending: Ending,
  { state, result }: { state: string; result: string | null },
  isHook: boolean,
): void {
  const value: unknown = decodePayload(result);
  const same =
    ending.state === state &&
    (ending.state === 'completed'
      ? isHook || isDeepStrictEqual(ending.value, value)
      : ending.state === 'continued' || ending.message === (value as { message: string }).message);
  if (!same) throw new Error(`${who} replays as ${JSON.stringify(ending)}, stored as ${state} ${result}`);
}
