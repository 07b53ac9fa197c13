/**
 * One worker process that runs one thread, over a simulated store: what host.ts does for ActiveThread, with nothing
 * happening unless it is told to. Killing it loses what a killed process loses.
 *
 * Owns: the live thread, its armed timers, the activities it runs itself, commits under way. Does not own: when any of
 * them goes on (whoever holds the worker).
 */

import { encodePayload } from '../../src/codec/payload.js';
import type { RetryPolicy } from '../../src/core/retry-policy.js';
import { defaultRetryPolicy } from '../../src/core/retry-policy.js';
import type { Caller } from '../../src/postgres/batcher.js';
import type { CommitAnswer, CommitItem } from '../../src/postgres/protocol/commit.js';
import type { HistoryRow } from '../../src/postgres/protocol/threads.js';
import { conclude } from '../../src/replay/conclude.js';
import { type ExecutionInfo, Instance } from '../../src/replay/instance.js';
import type { Recording } from '../../src/replay/recording.js';
import { ActiveThread, type ThreadPort } from '../../src/worker/active-thread.js';
import { TurnLoop } from '../../src/worker/turn-loop.js';
import { runAs } from '../../src/workflow/context.js';
import type { SimulatedStore } from './simulated-store.js';

/** A workflow function; the instance is for tests that look behind the scenes. */
export type SimulatedFunction = (instance: Instance) => unknown;

export interface SimulatedWorkerOptions {
  readonly store: SimulatedStore;
  readonly run: SimulatedFunction;
  readonly retry?: RetryPolicy;
  /** Whether an activity runs in the worker itself, without a task row. Default: none does. */
  readonly chooseEager?: (name: string, op: number) => boolean;
  /** Commits are applied and answered at once. Default: they wait for {@link SimulatedWorker.applyCommit}. */
  readonly autoCommit?: boolean;
  readonly lateCommandMs?: number;
  /** The database's clock as the worker estimates it. Default: exactly. */
  readonly clock?: () => number;
}

export interface CommitUnderWay {
  readonly thread: ActiveThread;
  readonly item: CommitItem;
  answer: CommitAnswer | null;
  readonly send: (answer: CommitAnswer) => void;
  readonly fail: (error: unknown) => void;
}

/** One macrotask turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await turn();
}

export class SimulatedWorker implements ThreadPort {
  readonly turns = new TurnLoop();
  readonly lateCommandMs: number;
  readonly store: SimulatedStore;
  thread: ActiveThread | null = null;
  /** A thread in the cache, owned by nobody. */
  parked: ActiveThread | null = null;
  /** A late command came on the parked thread. */
  wanted = false;
  readonly eager = new Set<number>();
  /** Activities that were begun here, each time. */
  readonly begun: number[] = [];
  /** Somebody else owns the thread: nothing is read. */
  hidesHistory = false;
  readonly commits: CommitUnderWay[] = [];
  /** Why the thread was blocked. */
  reason: Error | null = null;
  recovering: Promise<void> = Promise.resolve();
  readonly #options: SimulatedWorkerOptions;
  #armed: { readonly thread: ActiveThread; readonly op: number; readonly dueAt: number }[] = [];
  #claimNo = 0;

  constructor(options: SimulatedWorkerOptions) {
    this.#options = options;
    this.store = options.store;
    this.lateCommandMs = options.lateCommandMs ?? 10_000;
  }

  trace(): void {}

  beginChild(): null {
    return null;
  }

  attemptFailed(): void {}

  // ---- coming and going

  /** Claims the thread: from its start, from its history, or out of the cache. */
  claim(): void {
    const row = this.store.claim();
    const claimNo = ++this.#claimNo;
    const cached = this.parked;
    this.parked = null;
    this.wanted = false;
    const usable = cached !== null && cached.lastCommitNo === row.last_commit_no;
    if (!usable) cached?.drop();
    const thread = usable ? cached : new ActiveThread(row, claimNo, this.#info(row.run_no, row.created_ms), this);
    this.thread = thread;
    if (usable) thread.resume(row, claimNo);
    else if (row.last_seq === null) thread.begin();
    const recovered =
      usable || row.last_seq === null ? null : thread.recover(JSON.parse(row.tasks ?? '[]') as number[]);
    const settle = () => {
      if (this.thread !== thread) return;
      for (const [op, ms] of JSON.parse(row.timers ?? '[]') as [number, number][]) this.armTimer(thread, op, ms);
      this.fetchMail();
      if (!usable) this.#rerunLost(thread);
    };
    if (recovered === null) settle();
    else this.recovering = recovered.then(settle).catch((error: unknown) => this.failed(thread, error));
  }

  /** The process ends: what was not stored is lost. */
  kill(): void {
    this.thread?.drop();
    this.parked?.drop();
    this.#forget();
    this.parked = null;
  }

  /** The process is not heard of any more, yet lives: @returns the thread it still believes to own. */
  lose(): ActiveThread | null {
    const { thread } = this;
    this.#forget();
    return thread;
  }

  /** @returns whether the thread was parked. */
  park(): boolean {
    const { thread } = this;
    if (thread === null || !thread.quiet || thread.open.size === 0 || this.eager.size > 0) return false;
    thread.suspend();
    const answer = this.store.park(thread.epoch);
    if (answer === 'mail') {
      thread.unsuspend();
      this.fetchMail();
      return false;
    }
    if (answer === 'fenced') {
      thread.drop();
      this.#forget();
      return false;
    }
    this.#forget();
    this.parked = thread;
    if (thread.park()) this.reclaim(thread);
    return true;
  }

  #forget(): void {
    this.thread = null;
    this.eager.clear();
    this.commits.length = 0;
    this.#armed = [];
  }

  /** Activities that ran in a process that is gone run again. */
  #rerunLost(thread: ActiveThread): void {
    for (const [op, operation] of thread.open)
      if (operation.kind === 'activity' && !operation.hasTask && !thread.opsWithMail.has(op)) this.eager.add(op);
  }

  // ---- what goes on

  /** Nothing is under way: only something from outside, or code that awaits something of its own, can go on. */
  get quiet(): boolean {
    if (this.commits.length > 0) return false;
    return this.thread === null || this.thread.quiet || this.thread.stage === 'gone';
  }

  get instance(): Instance | null {
    return this.thread?.instance ?? null;
  }

  fetchMail(): void {
    const { thread } = this;
    if (thread === null) return;
    for (const mail of this.store.mail(thread.knownMail)) thread.postMail(mail);
  }

  freshMail(): Promise<void> {
    this.fetchMail();
    return Promise.resolve();
  }

  /** Fires the timers that are due. */
  fireDue(): void {
    const due = this.#armed.filter(({ dueAt }) => dueAt <= this.monotonic());
    this.#armed = this.#armed.filter((armed) => !due.includes(armed));
    for (const { thread, op } of due) if (this.thread === thread) thread.fire(op);
  }

  get nextDue(): number {
    return Math.min(Infinity, ...this.#armed.map(({ dueAt }) => dueAt));
  }

  applyCommit(commit: CommitUnderWay): void {
    commit.answer ??= this.store.commit(commit.item);
  }

  answerCommit(commit: CommitUnderWay): void {
    this.applyCommit(commit);
    this.commits.splice(this.commits.indexOf(commit), 1);
    commit.send(commit.answer as CommitAnswer);
  }

  // ---- ThreadPort

  monotonic(): number {
    return this.store.now;
  }

  clock(): number {
    return this.#options.clock?.() ?? this.store.now;
  }

  commit(item: CommitItem, caller: Caller<CommitAnswer>): void {
    const send = (answer: CommitAnswer) => caller.answered(answer);
    if (this.#options.autoCommit) queueMicrotask(() => send(this.store.commit(item)));
    else if (this.thread !== null && item.epoch === this.thread.epoch)
      this.commits.push({ thread: this.thread, item, answer: null, send, fail: (error) => caller.failed(error) });
    else send(this.store.commit(item)); // one that was overtaken: its answer changes nothing any more
  }

  loadHistory(): Promise<HistoryRow[]> {
    return Promise.resolve(this.hidesHistory ? [] : [...this.store.rows]);
  }

  makeInstance(thread: ActiveThread, attempt: number, recording: Recording | null): Instance {
    return new Instance({
      info: { ...thread.info, attempt },
      run: (instance) => runAs(instance, async () => this.#options.run(instance)),
      conclude: (outcome, info) => conclude(outcome, info, (value) => encodePayload(value, 'result')),
      recording,
      onLateCommand: () => thread.lateCommand(),
    });
  }

  chooseEager = () => (_taskQueue: string, name: string, op: number) => this.#options.chooseEager?.(name, op) ?? false;

  /** No activity here brings its function along. */
  resumeStep(): void {}

  resumeSteps(): void {}

  startEager(thread: ActiveThread, op: number): void {
    if (this.thread !== thread) return;
    this.begun.push(op);
    this.eager.add(op);
  }

  armTimer(thread: ActiveThread, op: number, ms: number): void {
    const dueAt = this.monotonic() + ms;
    thread.dueAt.set(op, dueAt);
    if (this.thread === thread) this.#armed.push({ thread, op, dueAt });
  }

  abortActivities(thread: ActiveThread, ops: readonly number[] | 'all'): void {
    if (this.thread !== thread) return;
    for (const op of ops === 'all' ? [...this.eager] : ops) this.eager.delete(op);
  }

  pausing(): void {}

  becameIdle(): void {}

  becameBusy(): void {}

  began(): void {}

  closed(thread: ActiveThread): void {
    thread.drop();
    if (this.thread === thread) this.#forget();
  }

  refused(thread: ActiveThread): void {
    thread.drop();
    if (this.thread === thread) this.#forget();
  }

  blocked(thread: ActiveThread, reason: Error): void {
    thread.drop();
    if (this.thread !== thread) return;
    this.reason = reason;
    this.#forget();
  }

  failed(thread: ActiveThread, error: unknown): void {
    this.blocked(thread, error instanceof Error ? error : new Error(String(error)));
  }

  reclaim(thread: ActiveThread): void {
    if (this.parked === thread) this.wanted = true;
  }

  #info(runNo: number, createdMs: number): Omit<ExecutionInfo, 'attempt'> {
    return {
      workflowId: 'w-1',
      workflowName: 'simulated',
      taskQueue: 'test',
      namespace: 'durable',
      hookNo: null,
      runNo,
      run: 0,
      seed: '123456789',
      createdMs,
      parentWorkflowId: null,
      originId: null,
      trace: null,
      expireS: null,
      retry: this.#options.retry ?? defaultRetryPolicy,
    };
  }
}
