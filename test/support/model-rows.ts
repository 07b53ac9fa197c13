/**
 * The rows of the protocol's model: what sql/migrations/0001_create_executions.sql has, as objects in maps, without what only
 * Postgres needs. Numbers are given as its sequences give them, so that the model and a database that was emptied before
 * call everything by the same number.
 *
 * Owns: rows, numbers, the clock. Does not own: what calls do (model-store.ts, model-commit.ts, model-endings.ts).
 */

import type { HistoryRow } from '../../src/postgres/protocol/threads.js';
import type { ModelDocuments } from './document-model.js';
import { STARTED_AT } from './simulated-store.js';

export const LEASE_MS = 10_000;

export interface ModelRun {
  readonly no: number;
  readonly chain: number;
  readonly request: number;
  readonly parentThread: number | null;
  readonly parentOp: number | null;
  readonly parentChain: number | null;
  readonly run: number;
  readonly workflowId: string;
  readonly service: number;
  readonly cause: 'start' | 'continued';
  readonly args: string;
  readonly config: string | null;
  readonly expireS: number | null;
  readonly parentWorkflowId: string | null;
  readonly originId: string | null;
  readonly createdMs: number;
  documents: ModelDocuments;
  onParentClose: 'terminate' | 'cancel' | null;
  state: string;
  cancelRequested: boolean;
  paused: boolean;
}

export interface ModelThread {
  readonly no: number;
  readonly run: number;
  readonly service: number;
  state: 'ready' | 'owned' | 'parked' | 'paused' | 'done';
  readyAt: number | null;
  owner: number | null;
  claimNo: number | null;
  epoch: number;
  affinity: number | null;
  blockedOn: readonly number[] | null;
  paused: boolean;
  /** When it would have been ready, had it not been paused before. */
  resumeAt: number | null;
  readonly history: ModelEntry[];
  readonly timers: Map<number, number>;
  /** How many operations its entries opened. */
  opened: number;
  readonly resolved: Set<number>;
}

export interface ModelEntry extends HistoryRow {
  outcome: string | null;
  /** Of the run, on its closing entry. */
  readonly result: string | null;
  readonly epoch: number;
  /** 0: ended from outside. */
  readonly worker: number;
}

export interface ModelHook {
  readonly thread: number;
  readonly run: number;
  readonly openerThread: number | null;
  readonly openerOp: number | null;
  readonly request: number | null;
  readonly hookNo: number;
  readonly args: string;
  readonly signalId: string | null;
  readonly config: string | null;
  state: string;
}

export interface ModelMail {
  readonly no: number;
  readonly thread: number;
  readonly worker: number | null;
  readonly kind: 'done' | 'fail' | 'signal' | 'cancel' | 'pause';
  readonly op: number | null;
  readonly payload: string | null;
  /** Of a signal: what it takes to put it back. */
  readonly signal?: ModelSignal;
}

export interface ModelSignal {
  readonly no: number;
  readonly id: string;
  /** Null: for whoever waits in the namespace. */
  readonly chain: number | null;
  readonly payload: string | null;
  readonly expiresAt: number;
  returned: boolean;
}

export interface ModelWait {
  readonly no: number;
  readonly thread: number;
  readonly chain: number;
  readonly op: number;
  readonly signalId: string;
}

export interface ModelTask {
  readonly thread: number;
  readonly op: number;
  readonly name: string;
  readonly input: string;
  readyAt: number | null;
  owner: number | null;
  claimNo: number | null;
  epoch: number;
  losses: number;
}

export interface ModelWorker {
  readonly no: number;
  readonly key: string;
  leaseUntil: number;
  dead: boolean;
  released: boolean;
}

/** What is deleted below a chain that has ended. */
export interface ModelTermination {
  readonly chain: number;
  readonly whole: boolean;
  readonly failure: string | null;
}

/** A worker that was declared dead, or whose lease is over, calls. */
export class ModelLeaseLost extends Error {
  readonly code = 'PD002';
}

/** Everything there is, by number. */
export class ModelRows {
  /** The database's clock, ms since the epoch. */
  now = STARTED_AT;
  /** How far the database's clock was set: clocks of processes know nothing of it. */
  skew = 0;
  readonly runs = new Map<number, ModelRun>();
  readonly threads = new Map<number, ModelThread>();
  readonly hooks = new Map<number, ModelHook>();
  readonly inbox = new Map<number, ModelMail>();
  readonly signals = new Map<number, ModelSignal>();
  /** In the order in which they began to wait. */
  readonly waits = new Map<number, ModelWait>();
  /** By `thread:op`. */
  readonly tasks = new Map<string, ModelTask>();
  readonly workers = new Map<number, ModelWorker>();
  readonly terminations = new Map<number, ModelTermination>();
  readonly requests = new Map<number, string>();
  readonly services = new Map<string, number>();
  readonly emissions: { readonly thread: number; readonly topic: string; readonly payload: string | null }[] = [];
  readonly #last = { run: 0, mail: 0, signal: 0, wait: 0, worker: 0, service: 0 };

  next(of: 'run' | 'mail' | 'signal' | 'wait' | 'worker' | 'service'): number {
    this.#last[of] += 1;
    return this.#last[of];
  }

  service(kind: 'workflow' | 'activity', queue: string, name: string): number {
    const key = JSON.stringify([kind, queue, name]);
    const known = this.services.get(key) ?? this.next('service');
    this.services.set(key, known);
    return known;
  }

  serviceName(no: number): string {
    for (const [key, value] of this.services) if (value === no) return (JSON.parse(key) as string[])[2] as string;
    throw new Error(`no service ${no}`);
  }

  thread(no: number): ModelThread {
    const thread = this.threads.get(no);
    if (thread === undefined) throw new Error(`no thread ${no}`);
    return thread;
  }

  runOf(threadNo: number): ModelRun {
    return this.runs.get(this.thread(threadNo).run) as ModelRun;
  }

  threadsOf(run: number): ModelThread[] {
    return [...this.threads.values()].filter((thread) => thread.run === run);
  }

  mailOf(thread: number): ModelMail[] {
    return [...this.inbox.values()].filter((mail) => mail.thread === thread);
  }

  latest(workflowId: string): ModelRun | null {
    let latest: ModelRun | null = null;
    for (const run of this.runs.values())
      if (run.workflowId === workflowId && (latest === null || run.run > latest.run)) latest = run;
    return latest;
  }

  waitAt(thread: number, op: number): ModelWait | null {
    for (const wait of this.waits.values()) if (wait.thread === thread && wait.op === op) return wait;
    return null;
  }

  /** The longest waiter for a signal. */
  waiterFor(signalId: string, chain: number | null): ModelWait | null {
    for (const wait of this.waits.values())
      if (wait.signalId === signalId && (chain === null || wait.chain === chain)) return wait;
    return null;
  }

  deliver(thread: ModelThread, kind: ModelMail['kind'], op: number | null, payload: string | null): void {
    const no = this.next('mail');
    this.inbox.set(no, { no, thread: thread.no, worker: thread.owner, kind, op, payload });
  }

  deliverSignal(wait: ModelWait, signal: ModelSignal): void {
    const { no: thread, owner: worker } = this.thread(wait.thread);
    const no = this.next('mail');
    const { payload } = signal;
    this.inbox.set(no, { no, thread, worker, kind: 'signal', op: wait.op, payload, signal });
  }

  wake(threads: Iterable<number>): void {
    for (const no of threads) {
      const thread = this.thread(no);
      if (thread.state !== 'parked' && !(thread.state === 'ready' && (thread.readyAt ?? 0) > this.now)) continue;
      Object.assign(thread, { state: 'ready', readyAt: this.now, blockedOn: null });
    }
  }

  makeThread(no: number, run: number, service: number, paused: boolean): ModelThread {
    const thread: ModelThread = {
      no,
      run,
      service,
      state: paused ? 'paused' : 'ready',
      readyAt: paused ? null : this.now,
      owner: null,
      claimNo: null,
      epoch: 0,
      affinity: null,
      blockedOn: null,
      paused,
      resumeAt: null,
      history: [],
      timers: new Map(),
      opened: 0,
      resolved: new Set(),
    };
    this.threads.set(no, thread);
    return thread;
  }

  isLive(workerNo: number): boolean {
    const worker = this.workers.get(workerNo);
    return worker !== undefined && !worker.dead && worker.leaseUntil > this.now;
  }

  /** Whether this worker may take it: one that a live worker has in its cache is left to it for a while. */
  claimable({ readyAt, affinity }: ModelThread, workerNo: number): boolean {
    if (readyAt === null || readyAt > this.now) return false;
    return affinity === null || affinity === workerNo || readyAt <= this.now - 500 || !this.isLive(affinity);
  }

  /** The lease is checked by every call of a worker. */
  checkLease(workerNo: number): void {
    if (!this.isLive(workerNo)) throw new ModelLeaseLost(`worker ${workerNo} has lost its lease`);
  }
}

export const taskKey = (thread: number, op: number): string => `${thread}:${op}`;
