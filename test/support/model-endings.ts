/**
 * How threads end in the model, and what else ends with them: sql/functions/{close_threads, close_hooks, clear_threads,
 * continue_runs, end_threads, end_run, cancel_runs, descend, deliver_signals, hand_out_returned}.sql.
 */

import type { ModelRows, ModelRun, ModelSignal, ModelThread } from './model-rows.js';

export interface Closing {
  readonly thread: number;
  readonly state: string;
  readonly result: string | null;
}

/** Ends threads whose closing entry was just written. */
export function closeThreads(rows: ModelRows, closings: readonly Closing[]): void {
  const closing = new Map(closings.map((one) => [one.thread, one]));
  const mains = closings.filter(({ thread }) => rows.thread(thread).run === thread);
  const runs = new Set(mains.map(({ thread }) => thread));
  const others = [...rows.threads.values()].filter(
    (thread) => runs.has(thread.run) && thread.state !== 'done' && !closing.has(thread.no),
  );
  for (const thread of others) endFromOutside(rows, thread);
  const hooks = [
    ...closings.filter(({ thread }) => !runs.has(thread)).map(({ thread }) => thread),
    ...others.map(({ no }) => no),
  ];
  for (const { thread, state, result } of mains) if (state === 'continued') continueRun(rows, thread, result ?? '[]');
  const onward = new Set(mains.filter(({ state }) => state === 'continued').map(({ thread }) => thread));
  // Looked at before any of them has ended: children that end in this very commit count.
  const deserted = mains
    .filter(({ state }) => state !== 'continued')
    .map(({ thread }) => (rows.runs.get(thread) as ModelRun).chain)
    .filter((chain) => dependents(rows, chain, false).length > 0);
  for (const { thread, state } of mains) Object.assign(rows.runs.get(thread) ?? {}, { state, paused: false });
  for (const chain of deserted)
    if (!rows.terminations.has(chain)) rows.terminations.set(chain, { chain, whole: false, failure: null });
  const ended = [...closing.keys(), ...others.map(({ no }) => no)];
  for (const no of ended)
    Object.assign(rows.thread(no), {
      state: 'done',
      owner: null,
      claimNo: null,
      readyAt: null,
      blockedOn: null,
      affinity: null,
      paused: false,
    });
  closeHooks(rows, hooks, closing);
  const lasting = new Set([
    ...onward,
    ...hooks.filter((no) => onward.has(rows.thread(no).run) || !runs.has(rows.thread(no).run)),
  ]);
  clearThreads(rows, new Set(ended), lasting);
  for (const { thread, state, result } of closings) {
    if (state === 'continued') continue;
    const { parentThread = null, parentOp = null } = rows.runs.get(thread) ?? {};
    const parent = parentThread === null ? undefined : rows.threads.get(parentThread);
    if (parent === undefined || parent.state === 'done') continue;
    rows.deliver(parent, state === 'completed' ? 'done' : 'fail', parentOp, result);
    rows.wake([parent.no]);
  }
}

/** The closing entry of a thread that is ended by somebody else. */
function endFromOutside(rows: ModelRows, thread: ModelThread, commitNo = -1): void {
  thread.history.push({
    seq: thread.history.length,
    commit_no: commitNo,
    at_ms: rows.now,
    body: '{"ended":true}',
    outcome: null,
    closes: true,
    result: null,
    epoch: thread.epoch,
    worker: 0,
  });
}

function continueRun(rows: ModelRows, no: number, args: string): void {
  const old = rows.runs.get(no) as ModelRun;
  const cancels = rows.mailOf(no).some(({ kind }) => kind === 'cancel');
  const next: ModelRun = {
    ...old,
    no: rows.next('run'),
    request: -1,
    run: old.run + 1,
    state: 'open',
    cause: 'continued',
    args,
    createdMs: rows.now,
    cancelRequested: cancels,
  };
  rows.runs.set(next.no, next);
  old.documents = {};
  const thread = rows.makeThread(next.no, next.no, next.service, next.paused);
  if (cancels) rows.deliver(thread, 'cancel', null, null);
}

function closeHooks(rows: ModelRows, hooks: readonly number[], closing: ReadonlyMap<number, Closing>): void {
  for (const no of hooks) {
    const hook = rows.hooks.get(no);
    if (hook !== undefined) hook.state = closing.get(no)?.state ?? 'ended';
  }
  const told: number[] = [];
  for (const no of [...hooks].sort((a, b) => a - b)) {
    const hook = rows.hooks.get(no);
    if (hook === undefined || hook.openerThread === null || hook.state === 'completed') continue;
    const opener = rows.threads.get(hook.openerThread);
    if (opener?.state === 'done') continue;
    const wait = rows.waitAt(hook.openerThread, hook.openerOp as number);
    if (opener === undefined || wait === null) continue;
    rows.waits.delete(wait.no);
    const { workflowId } = rows.runs.get(hook.run) as ModelRun;
    const payload = hook.state === 'ended' ? inactive(workflowId) : (closing.get(no)?.result ?? null);
    rows.deliver(opener, 'fail', hook.openerOp, payload);
    told.push(opener.no);
  }
  rows.wake(told);
}

function inactive(workflowId: string): string {
  const name = 'InactiveJobError';
  const message = `Job ${workflowId} already completed`;
  const failure = { name, type: name, stack: '', job_id: workflowId, message, details: { jobId: workflowId } };
  return JSON.stringify(failure);
}

function clearThreads(rows: ModelRows, ended: ReadonlySet<number>, lasting: ReadonlySet<number>): void {
  for (const no of ended) rows.thread(no).timers.clear();
  for (const [key, task] of rows.tasks) if (ended.has(task.thread)) rows.tasks.delete(key);
  for (const wait of rows.waits.values()) if (ended.has(wait.thread)) rows.waits.delete(wait.no);
  for (const mail of rows.inbox.values()) {
    if (!ended.has(mail.thread)) continue;
    rows.inbox.delete(mail.no);
    if (mail.signal === undefined || (mail.signal.chain !== null && !lasting.has(mail.thread))) continue;
    rows.signals.set(mail.signal.no, { ...mail.signal, returned: true });
  }
}

/** Ends an open run that somebody terminates. */
export function endRun(
  rows: ModelRows,
  run: ModelRun,
  how: { commitNo: number; failure: string | null; descend: boolean },
): void {
  endFromOutside(rows, rows.thread(run.no), how.commitNo);
  if (how.descend && !rows.terminations.has(run.chain))
    rows.terminations.set(run.chain, { chain: run.chain, whole: true, failure: how.failure });
  closeThreads(rows, [{ thread: run.no, state: 'terminated', result: how.failure }]);
}

export function cancelRuns(rows: ModelRows, runs: readonly ModelRun[]): void {
  for (const run of runs) {
    if (run.state !== 'open' || run.cancelRequested) continue;
    run.cancelRequested = true;
    const threads = rows.threadsOf(run.no).filter(({ state }) => state !== 'done');
    for (const thread of threads) rows.deliver(thread, 'cancel', null, null);
    rows.wake(threads.map(({ no }) => no));
  }
}

function dependents(rows: ModelRows, chain: number, whole: boolean): ModelRun[] {
  return [...rows.runs.values()].filter(
    (run) => run.parentChain === chain && run.state === 'open' && (whole || run.onParentClose !== null),
  );
}

/** @returns whether there was anything to do. */
export function descendOnce(rows: ModelRows): boolean {
  const [chain] = [...rows.terminations.keys()].sort((a, b) => a - b);
  const note = chain === undefined ? undefined : rows.terminations.get(chain);
  if (note === undefined) return false;
  const cancelled: ModelRun[] = [];
  for (const run of dependents(rows, note.chain, note.whole).sort((a, b) => a.no - b.no)) {
    if (run.state !== 'open') continue;
    if (note.whole) endRun(rows, run, { commitNo: -1, failure: note.failure, descend: true });
    else if (run.onParentClose === 'terminate')
      endRun(rows, run, { commitNo: -1, failure: '{"name":"TerminatedError"}', descend: false });
    else cancelled.push(run);
  }
  for (const run of cancelled) run.onParentClose = null;
  cancelRuns(rows, cancelled);
  if (dependents(rows, note.chain, note.whole).length === 0) rows.terminations.delete(note.chain);
  return true;
}

// ---- signals

export interface SentSignal {
  readonly id: string;
  readonly chain: number | null;
  readonly payload: string | null;
  readonly expireMs: number;
}

/** The threads that signals would reach now, which a call locks: as many of the longest waiters as there are signals. */
export function waitersOf(rows: ModelRows, sent: readonly Pick<SentSignal, 'id' | 'chain'>[]): Set<number> {
  const threads = new Set<number>();
  for (const { id, chain } of sent) {
    const count = sent.filter((one) => one.id === id).length;
    const waiting = [...rows.waits.values()].filter(
      (wait) => wait.signalId === id && (chain === null || wait.chain === chain),
    );
    for (const { thread } of waiting.slice(0, count)) threads.add(thread);
  }
  return threads;
}

/** What the call of a sender holds. */
export interface Held {
  /** Ids for which signals that were put back are looked at. */
  readonly met: ReadonlySet<string>;
  readonly threads: ReadonlySet<number>;
}

/** Each to its longest waiter, or kept; behind signals of its id that were put back. */
export function deliverSignals(rows: ModelRows, sent: readonly SentSignal[], held: Held): ('delivered' | 'buffered')[] {
  const behind = new Set(
    [...rows.signals.values()]
      .filter((signal) => signal.returned && held.met.has(signal.id) && signal.expiresAt > rows.now)
      .map(({ id }) => id),
  );
  const queued = new Map<number, number>();
  const statuses = sent.map(({ id, chain, payload, expireMs }, index): 'delivered' | 'buffered' => {
    const wait = behind.has(id) ? null : rows.waiterFor(id, chain);
    const no = rows.next('signal');
    const signal: ModelSignal = { no, id, chain, payload, expiresAt: rows.now + expireMs, returned: behind.has(id) };
    if (wait === null) {
      rows.signals.set(no, signal);
      if (behind.has(id)) queued.set(no, index);
      return 'buffered';
    }
    rows.waits.delete(wait.no);
    rows.deliverSignal(wait, signal);
    rows.wake([wait.thread]);
    return 'delivered';
  });
  if (behind.size > 0)
    for (const no of handOutReturned(rows, behind, held.threads)) {
      const index = queued.get(no);
      if (index !== undefined) statuses[index] = 'delivered';
    }
  return statuses;
}

/**
 * Signals that were put back find who waits for them; a waiter that is not held is left to the next look.
 *
 * @param ids Null: all. @param held Null: all.
 * @returns the numbers of those that were given out.
 */
export function handOutReturned(
  rows: ModelRows,
  ids: ReadonlySet<string> | null,
  held: ReadonlySet<number> | null,
): number[] {
  const given: number[] = [];
  for (const signal of [...rows.signals.values()].sort((a, b) => a.no - b.no)) {
    if (!signal.returned || signal.expiresAt <= rows.now || (ids !== null && !ids.has(signal.id))) continue;
    const wait = rows.waiterFor(signal.id, signal.chain);
    if (wait === null) {
      signal.returned = false;
      continue;
    }
    if (held !== null && !held.has(wait.thread)) continue;
    rows.signals.delete(signal.no);
    rows.waits.delete(wait.no);
    rows.deliverSignal(wait, signal);
    rows.wake([wait.thread]);
    given.push(signal.no);
  }
  return given;
}
