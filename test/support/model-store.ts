/**
 * A model of the protocol: what the functions of sql/functions answer when they are called one after the other, for many
 * workflows and workers, in memory and in virtual time. test/protocol/the-model-is-the-database.test.ts holds it against
 * the functions themselves.
 *
 * Owns: the calls of clients and workers, and a record of them. Does not own: who makes them (simulated-process.ts).
 */

import type { CommitAnswer, CommitItem } from '../../src/postgres/protocol/commit.js';
import type { ClaimedThread, HistoryRow, Mail } from '../../src/postgres/protocol/threads.js';
import { commitItems, openHook } from './model-commit.js';
import { cancelRuns, deliverSignals, descendOnce, endRun, handOutReturned, waitersOf } from './model-endings.js';
import { LEASE_MS, ModelRows, type ModelRun, taskKey } from './model-rows.js';

export const QUEUE = 'queue';

/** What was asked, and what was answered, as plain data. */
export interface ModelCall {
  readonly call: keyof ModelCalls;
  readonly now: number;
  readonly args: readonly unknown[];
  readonly answer: unknown;
  /** Of a commit: inbox numbers of its threads as they were before it, in order. */
  readonly inboxes?: Readonly<Record<number, readonly number[]>>;
}

export interface ModelClaimedTask {
  readonly thread_no: number;
  readonly op: number;
  readonly epoch: number;
  readonly losses: number;
  readonly name: string;
  readonly input: string;
}

export interface ModelTaskOutcome {
  readonly threadNo: number;
  readonly op: number;
  readonly epoch: number;
  /** `release`: back to whoever takes it. */
  readonly kind: 'done' | 'fail' | 'release';
  readonly payload: string | null;
}

export interface ModelTaskToQueue {
  readonly threadNo: number;
  readonly epoch: number;
  readonly op: number;
  readonly name: string;
  readonly input: string;
  /** The claim under which it goes on in this worker; null: anybody may take it. */
  readonly claimNo: number | null;
}

export type ModelCalls = Omit<ModelFunctions, 'rows'>;

/** The calls, each as its function in sql/functions has it. */
class ModelFunctions {
  readonly rows = new ModelRows();

  register(key: string, names: readonly string[]): { workerNo: number; services: number[] } {
    const services = names.map((name) => this.rows.service('workflow', QUEUE, name));
    services.push(this.rows.service('activity', QUEUE, ''));
    const no = this.rows.next('worker');
    this.rows.workers.set(no, { no, key, leaseUntil: this.rows.now + LEASE_MS, dead: false, released: false });
    return { workerNo: no, services };
  }

  renew(workerNo: number): boolean {
    const worker = this.rows.workers.get(workerNo);
    if (worker === undefined || worker.dead) return false;
    worker.leaseUntil = this.rows.now + LEASE_MS;
    return true;
  }

  /** Its lease is over from this moment on; nobody has noticed yet. */
  expireLease(workerNo: number): void {
    const worker = this.rows.workers.get(workerNo);
    if (worker !== undefined) worker.leaseUntil = this.rows.now - 1_000;
  }

  reap(): void {
    const { rows } = this;
    for (const worker of rows.workers.values()) if (!worker.dead && worker.leaseUntil < rows.now) worker.dead = true;
    const dead = new Set([...rows.workers.values()].filter((one) => one.dead && !one.released).map(({ no }) => no));
    for (const thread of rows.threads.values()) {
      if (thread.owner === null || !dead.has(thread.owner)) continue;
      const state = thread.paused ? 'paused' : 'ready';
      const readyAt = thread.paused ? null : rows.now;
      Object.assign(thread, { state, readyAt, owner: null, claimNo: null, affinity: null });
    }
    for (const task of rows.tasks.values()) {
      if (task.owner === null || !dead.has(task.owner)) continue;
      Object.assign(task, { owner: null, claimNo: null, losses: task.losses + 1, readyAt: rows.now });
    }
    for (const no of dead) Object.assign(rows.workers.get(no) ?? {}, { released: true });
  }

  start(requestNo: number, workflowId: string, name: string, args: string, config: string | null): string {
    const { rows } = this;
    const service = rows.service('workflow', QUEUE, name);
    const no = rows.next('run');
    const old = rows.latest(workflowId);
    if (old !== null) {
      const mine = [...rows.runs.values()].some((run) => run.workflowId === workflowId && run.request === requestNo);
      return mine ? 'started' : 'duplicate';
    }
    rows.runs.set(no, {
      no,
      chain: no,
      request: requestNo,
      parentThread: null,
      parentOp: null,
      parentChain: null,
      run: 0,
      workflowId,
      service,
      cause: 'start',
      args,
      config,
      expireS: null,
      parentWorkflowId: null,
      originId: null,
      createdMs: rows.now,
      documents: {},
      onParentClose: null,
      state: 'open',
      cancelRequested: false,
      paused: false,
    });
    rows.makeThread(no, no, service, false);
    return 'started';
  }

  signal(requestNo: number, id: string, workflowId: string | null, payload: string | null, expireMs: number): string {
    return this.#once(requestNo, () => {
      const { rows } = this;
      const putBack = [...rows.signals.values()].some((signal) => signal.returned && signal.id === id);
      const met = new Set(workflowId === null || putBack ? [id] : []);
      const run = workflowId === null ? null : rows.latest(workflowId);
      if (workflowId !== null && run === null) return 'unknown';
      if (run !== null && run.state !== 'open') return 'inactive';
      const sent = [{ id, chain: run?.chain ?? null, payload, expireMs }];
      const threads = waitersOf(rows, sent);
      if (run !== null) for (const { no } of rows.threadsOf(run.no)) threads.add(no);
      return deliverSignals(rows, sent, { met, threads })[0] as string;
    });
  }

  cancel(workflowId: string): boolean {
    const run = this.rows.latest(workflowId);
    if (run?.state !== 'open') return false;
    cancelRuns(this.rows, [run]);
    return true;
  }

  terminate(requestNo: number, workflowId: string, failure: string | null, descend: boolean): string {
    const { rows } = this;
    const run = rows.latest(workflowId);
    if (run === null) return 'unknown';
    const runs = [...rows.runs.values()].filter((one) => one.workflowId === workflowId);
    if (runs.some((one) => rows.thread(one.no).history.at(-1)?.commit_no === requestNo)) return 'again';
    if (run.state !== 'open') return 'completed';
    endRun(rows, run, { commitNo: requestNo, failure, descend });
    return 'terminated';
  }

  hook(requestNo: number, workflowId: string, name: string, args: string): string {
    const { rows } = this;
    for (const hook of rows.hooks.values()) if (hook.request === requestNo) return 'hooked';
    const opened = openHook(rows, rows.latest(workflowId), {
      opener: null,
      op: null,
      request: requestNo,
      args,
      taskQueue: QUEUE,
      workflowName: name,
      signalId: null,
      config: null,
    });
    return typeof opened === 'string' ? opened : 'hooked';
  }

  pause(requestNo: number, workflowId: string): string {
    return this.#once(requestNo, () => {
      const { rows } = this;
      const run = rows.latest(workflowId);
      if (run === null) return 'unknown';
      if (run.state !== 'open') return 'inactive';
      if (run.paused) return 'again';
      run.paused = true;
      for (const thread of rows.threadsOf(run.no)) {
        if (thread.state === 'done') continue;
        const isLater = thread.state === 'ready' && (thread.readyAt ?? 0) > rows.now;
        Object.assign(thread, { paused: true, resumeAt: isLater ? thread.readyAt : null, readyAt: null });
        if (thread.state === 'owned') rows.deliver(thread, 'pause', null, null);
        else thread.state = 'paused';
      }
      return 'paused';
    });
  }

  resume(requestNo: number, workflowId: string): string {
    return this.#once(requestNo, () => {
      const { rows } = this;
      const run = rows.latest(workflowId);
      if (run === null) return 'unknown';
      const threads = rows.threadsOf(run.no).filter(({ state }) => state !== 'done');
      const numbers = new Set(threads.map(({ no }) => no));
      for (const mail of rows.inbox.values())
        if (mail.kind === 'pause' && numbers.has(mail.thread)) rows.inbox.delete(mail.no);
      for (const task of rows.tasks.values())
        if (numbers.has(task.thread) && task.owner === null && task.readyAt === null) task.readyAt = rows.now;
      const paused = threads.filter((thread) => thread.paused);
      for (const thread of paused) {
        // Mail does not wait for it: see wake.
        const later = rows.mailOf(thread.no).length === 0 ? (thread.resumeAt ?? 0) : 0;
        Object.assign(thread, { paused: false, resumeAt: null });
        if (thread.owner === null) Object.assign(thread, { state: 'ready', readyAt: Math.max(rows.now, later) });
      }
      run.paused = false;
      if (run.state !== 'open') return 'inactive';
      return paused.length > 0 ? 'resumed' : 'again';
    });
  }

  /** What housekeeping does: signals that were put back, and those that nobody came for. */
  tidy(): void {
    handOutReturned(this.rows, null, null);
    for (const signal of this.rows.signals.values())
      if (signal.expiresAt < this.rows.now) this.rows.signals.delete(signal.no);
  }

  descend(): boolean {
    return descendOnce(this.rows);
  }

  claim(workerNo: number, claimNo: number, services: readonly number[], wanted: readonly number[]): ClaimedThread[] {
    const { rows } = this;
    rows.checkLease(workerNo);
    const threads = [...rows.threads.values()];
    let claimed = threads.filter((thread) => thread.owner === workerNo && thread.claimNo === claimNo);
    if (claimed.length === 0) {
      claimed = threads.filter(
        (thread) =>
          (services.includes(thread.service) && rows.claimable(thread, workerNo)) ||
          (wanted.includes(thread.no) && (thread.state === 'parked' || thread.state === 'ready')),
      );
      for (const thread of claimed) {
        const epoch = thread.epoch + 1;
        const nothing = { readyAt: null, blockedOn: null, affinity: null };
        Object.assign(thread, { state: 'owned', owner: workerNo, claimNo, epoch, ...nothing });
      }
    }
    return claimed.sort((a, b) => a.no - b.no).map(({ no }) => this.#claimed(no));
  }

  #claimed(no: number): ClaimedThread {
    const { rows } = this;
    const thread = rows.thread(no);
    const run = rows.runs.get(thread.run) as ModelRun;
    const hook = rows.hooks.get(no);
    const last = thread.epoch > 1 ? thread.history.at(-1) : undefined;
    const list = (all: readonly unknown[]) => (all.length === 0 ? null : JSON.stringify(all));
    const tasks = [...rows.tasks.values()].filter((task) => task.thread === no);
    const mail = thread.epoch > 1 || run.cancelRequested ? rows.mailOf(no) : [];
    return {
      thread_no: no,
      run_no: run.no,
      chain_no: run.chain,
      request_no: run.request,
      epoch: thread.epoch,
      service_no: thread.service,
      last_seq: last?.seq ?? null,
      last_commit_no: last?.commit_no ?? null,
      created_ms: run.createdMs,
      clock_ms: rows.now,
      workflow_id: run.workflowId,
      run: run.run,
      args: hook?.args ?? run.args,
      config: hook?.config ?? run.config,
      expire_s: run.expireS,
      cancel_requested: run.cancelRequested,
      parent_workflow_id: run.parentWorkflowId,
      origin_id: run.originId,
      trace: null,
      lineage: null,
      hook_no: hook?.hookNo ?? null,
      hook_signal: hook?.signalId ?? null,
      timers: last === undefined ? null : list([...thread.timers].map(([op, dueAt]) => [op, dueAt - rows.now])),
      tasks: last === undefined ? null : list(tasks.map(({ op }) => op)),
      mail: list(mail.map((one) => [one.no, one.kind, one.op, one.payload])),
    };
  }

  commit(workerNo: number, items: readonly CommitItem[]): CommitAnswer[] {
    return commitItems(this.rows, workerNo, items);
  }

  park(workerNo: number, threadNo: number, epoch: number, blockedOn: readonly number[]): 'parked' | 'mail' | 'fenced' {
    const { rows } = this;
    rows.checkLease(workerNo);
    const thread = rows.thread(threadNo);
    if (thread.owner !== workerNo || thread.epoch !== epoch) {
      const before = thread.owner === null && thread.affinity === workerNo && thread.epoch === epoch;
      return before ? 'parked' : 'fenced';
    }
    if (rows.mailOf(threadNo).length > 0) return 'mail';
    const readyAt = thread.timers.size === 0 ? null : Math.min(...thread.timers.values());
    Object.assign(thread, { state: 'parked', owner: null, claimNo: null, affinity: workerNo, blockedOn, readyAt });
    return 'parked';
  }

  release(workerNo: number, threadNo: number, epoch: number): void {
    this.rows.checkLease(workerNo);
    const thread = this.rows.thread(threadNo);
    if (thread.owner !== workerNo || thread.epoch !== epoch) return;
    const state = thread.paused ? 'paused' : 'ready';
    const readyAt = thread.paused ? null : this.rows.now;
    Object.assign(thread, { state, readyAt, owner: null, claimNo: null, affinity: null });
  }

  mail(workerNo: number, known: readonly number[]): Mail[] {
    return [...this.rows.inbox.values()]
      .filter((mail) => mail.worker === workerNo && this.rows.thread(mail.thread).owner === workerNo)
      .filter((mail) => !known.includes(mail.no))
      .map(({ no, thread, kind, op, payload }) => ({ thread_no: thread, inbox_no: no, kind, op, payload }));
  }

  /** What the worker owns by claims before this one. */
  owned(workerNo: number, before: number): { threads: [number, number][]; tasks: [number, number, number][] } {
    const mine = ({ owner, claimNo }: { owner: number | null; claimNo: number | null }) =>
      owner === workerNo && (claimNo ?? before) < before;
    return {
      threads: [...this.rows.threads.values()].filter(mine).map(({ no, epoch }) => [no, epoch]),
      tasks: [...this.rows.tasks.values()].filter(mine).map(({ thread, op, epoch }) => [thread, op, epoch]),
    };
  }

  claimTasks(workerNo: number, claimNo: number): ModelClaimedTask[] {
    const { rows } = this;
    rows.checkLease(workerNo);
    const tasks = [...rows.tasks.values()];
    let taken = tasks.filter((task) => task.owner === workerNo && task.claimNo === claimNo);
    if (taken.length === 0) {
      const due = tasks.filter(({ readyAt }) => readyAt !== null && readyAt <= rows.now);
      for (const task of due) {
        task.readyAt = null;
        if (rows.thread(task.thread).paused) continue; // laid aside
        Object.assign(task, { owner: workerNo, claimNo, epoch: task.epoch + 1 });
      }
      taken = due.filter(({ owner }) => owner === workerNo);
    }
    return taken
      .sort((a, b) => a.thread - b.thread || a.op - b.op)
      .map(({ thread, op, epoch, losses, name, input }) => ({ thread_no: thread, op, epoch, losses, name, input }));
  }

  finishTasks(workerNo: number, outcomes: readonly ModelTaskOutcome[]): void {
    const { rows } = this;
    rows.checkLease(workerNo);
    for (const { threadNo, op, epoch, kind, payload } of outcomes) {
      const task = rows.tasks.get(taskKey(threadNo, op));
      if (task === undefined || task.owner !== workerNo || task.epoch !== epoch) continue;
      if (kind === 'release') {
        Object.assign(task, { owner: null, claimNo: null, readyAt: rows.now });
        continue;
      }
      rows.tasks.delete(taskKey(threadNo, op));
      const thread = rows.thread(threadNo);
      if (thread.state !== 'done') rows.deliver(thread, kind, op, payload);
      rows.wake([threadNo]);
    }
  }

  /** @returns the operations that became no task: they are settled. */
  queueTask(workerNo: number, requestNo: number, item: ModelTaskToQueue): boolean {
    const { rows } = this;
    rows.checkLease(workerNo);
    const { threadNo, epoch, op, name, input, claimNo } = item;
    const answer = this.#once(requestNo, () => {
      const thread = rows.thread(threadNo);
      const answered = rows.mailOf(threadNo).some((mail) => mail.op === op);
      const key = taskKey(threadNo, op);
      if (thread.owner === workerNo && thread.epoch === epoch && !answered && !rows.tasks.has(key)) {
        const [readyAt, owner] = claimNo === null ? [rows.now, null] : [null, workerNo];
        rows.tasks.set(key, { thread: threadNo, op, name, input, readyAt, owner, claimNo, epoch: 1, losses: 0 });
      }
      return String(rows.tasks.has(key) || answered);
    });
    return answer === 'true';
  }

  #once(requestNo: number, call: () => string): string {
    const known = this.rows.requests.get(requestNo);
    if (known !== undefined) return known;
    const answer = call();
    this.rows.requests.set(requestNo, answer);
    return answer;
  }
}

/** The model as it is called. */
export class ModelStore {
  /** Every call with its answer, to be made again on a database; only where that is asked for. */
  readonly calls: ModelCall[] = [];
  /** How many calls there were. */
  called = 0;
  readonly #functions = new ModelFunctions();
  readonly #keeps: boolean;

  constructor({ keepCalls = false }: { keepCalls?: boolean } = {}) {
    this.#keeps = keepCalls;
  }

  get rows(): ModelRows {
    return this.#functions.rows;
  }

  call<K extends keyof ModelCalls>(name: K, ...args: Parameters<ModelCalls[K]>): ReturnType<ModelCalls[K]> {
    this.called += 1;
    const run = this.#functions[name] as (...args: Parameters<ModelCalls[K]>) => ReturnType<ModelCalls[K]>;
    if (!this.#keeps) return run.apply(this.#functions, args);
    const { now } = this.rows;
    const inboxes = name === 'commit' ? { inboxes: this.#inboxes(args[1] as readonly CommitItem[]) } : {};
    const keep = (answer: unknown) =>
      this.calls.push({ call: name, now, args: structuredClone(args), answer: structuredClone(answer), ...inboxes });
    try {
      const answer = run.apply(this.#functions, args);
      keep(answer);
      return answer;
    } catch (error) {
      if ((error as { code?: string }).code === 'PD002') keep({ error: 'PD002' });
      throw error;
    }
  }

  loadHistory(threadNo: number): HistoryRow[] {
    return this.rows.thread(threadNo).history.map((entry) => ({ ...entry }));
  }

  #inboxes(items: readonly CommitItem[]): Record<number, number[]> {
    return Object.fromEntries(items.map(({ threadNo }) => [threadNo, this.rows.mailOf(threadNo).map(({ no }) => no)]));
  }
}
