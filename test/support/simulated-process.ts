/**
 * A worker process with many threads, over the model of the store: what owned-threads.ts and activity-runner.ts do for
 * ActiveThread, with nothing happening unless it is told to. Killing it loses what a killed process loses.
 *
 * Owns: live and cached threads, armed timers, activities it runs, commits under way. Does not own: when any of them goes on
 * (simulated-fleet.ts).
 */

import { activityText } from '../../src/codec/entry-text.js';
import { encodePayload } from '../../src/codec/payload.js';
import { defaultRetryPolicy, type RetryPolicy } from '../../src/core/retry-policy.js';
import type { Caller } from '../../src/postgres/batcher.js';
import type { CommitAnswer, CommitItem } from '../../src/postgres/protocol/commit.js';
import type { ClaimedThread, HistoryRow } from '../../src/postgres/protocol/threads.js';
import { conclude } from '../../src/replay/conclude.js';
import { type ExecutionInfo, Instance } from '../../src/replay/instance.js';
import type { Recording } from '../../src/replay/recording.js';
import { ActiveThread, type ThreadPort } from '../../src/worker/active-thread.js';
import { isKnown } from '../../src/worker/known-tasks.js';
import { TurnLoop } from '../../src/worker/turn-loop.js';
import { runAs } from '../../src/workflow/context.js';
import { ModelLeaseLost, taskKey } from './model-rows.js';
import { type ModelCalls, type ModelStore, type ModelTaskOutcome, QUEUE } from './model-store.js';
import type { SimulatedAttempts } from './simulated-attempts.js';
import type { CallArguments } from './simulated-program.js';
import { type CallOutcome, eventOf, outcomeOf } from './simulated-run.js';

/** Runs a thread's function for an instance. */
export type RunThread = (instance: Instance, name: string, args: readonly unknown[]) => Promise<unknown>;

export interface ProcessOptions {
  readonly store: ModelStore;
  readonly key: string;
  readonly names: readonly string[];
  readonly run: RunThread;
  readonly chooseEager: () => boolean;
  /** For claims, requests and commits. */
  readonly number: () => number;
  /** Is told which attempts begin and end. */
  readonly attempts: SimulatedAttempts;
}

export interface SentCommit {
  readonly thread: ActiveThread;
  readonly item: CommitItem;
  readonly caller: Caller<CommitAnswer>;
  answer: CommitAnswer | null;
  /** It was early: by the clock of the process. */
  notBefore: number;
}

interface Eager {
  readonly thread: ActiveThread;
  readonly op: number;
  makingRow: boolean;
}

interface RunningTask {
  readonly threadNo: number;
  readonly op: number;
  readonly epoch: number;
  readonly args: CallArguments;
  /** Of one that was eager: its thread, while that is here. */
  thread: ActiveThread | null;
}

/** What the database said this process owns, on its way to it. */
interface Comparison {
  readonly workerNo: number;
  readonly owned: ReturnType<ModelCalls['owned']>;
  /** What was at rest here before it was asked. */
  readonly threads: readonly ActiveThread[];
  readonly running: readonly RunningTask[];
  readonly finishing: ReadonlySet<string>;
  readonly settled: (thread: ActiveThread) => boolean;
}

export const simulatedRetry: RetryPolicy = { ...defaultRetryPolicy, maximumAttempts: 0 };

/** What the thread's function may know about itself, as owned-threads.ts tells it. */
export function infoOf(row: ClaimedThread, workflowName: string): Omit<ExecutionInfo, 'attempt'> {
  return {
    workflowId: row.workflow_id,
    workflowName,
    taskQueue: QUEUE,
    namespace: 'durable',
    hookNo: row.hook_no,
    runNo: row.run_no,
    run: row.run,
    seed: row.hook_no === null ? String(row.request_no) : `${row.request_no}-${row.thread_no}`,
    createdMs: row.created_ms,
    parentWorkflowId: row.parent_workflow_id,
    originId: row.origin_id,
    trace: null,
    expireS: row.expire_s,
    retry: row.config === null ? simulatedRetry : { ...simulatedRetry, ...(JSON.parse(row.config) as RetryPolicy) },
  };
}

/** The arguments of a thread's function. */
export function argsOf(row: Pick<ClaimedThread, 'args' | 'hook_signal'>): unknown[] {
  const args = JSON.parse(row.args) as unknown[];
  if (row.hook_signal !== null) args.push({ signal: row.hook_signal, $durable: true });
  return args;
}

export class SimulatedProcess implements ThreadPort {
  readonly turns = new TurnLoop();
  readonly lateCommandMs = 10_000;
  readonly threads = new Map<number, ActiveThread>();
  readonly cache = new Map<number, ActiveThread>();
  readonly wanted = new Set<number>();
  readonly eager = new Map<string, Eager>();
  readonly tasks = new Map<string, RunningTask>();
  /** Outcomes on their way to the rows of tasks. */
  readonly outcomes: ModelTaskOutcome[] = [];
  comparison: Comparison | null = null;
  readonly commits: SentCommit[] = [];
  readonly releasing: { readonly threadNo: number; readonly epoch: number }[] = [];
  /** Null: it has to register, anew perhaps. */
  workerNo: number | null = null;
  services: readonly number[] = [];
  /** Why a thread was blocked: code does not fit its history, or something is wrong with the engine. */
  reason: Error | null = null;
  /** Replays under way. */
  recovering = 0;
  readonly #options: ProcessOptions;
  #registered = 0;
  #armed: { readonly thread: ActiveThread; readonly epoch: number; readonly op: number; readonly dueAt: number }[] = [];

  constructor(options: ProcessOptions) {
    this.#options = options;
  }

  get store(): ModelStore {
    return this.#options.store;
  }

  // ---- coming and going

  register(): void {
    const key = `${this.#options.key}.${this.#registered++}`;
    const { workerNo, services } = this.store.call('register', key, this.#options.names);
    this.workerNo = workerNo;
    this.services = services;
  }

  /** The process ends: what was not stored is lost. */
  kill(): void {
    if (this.workerNo !== null) this.#options.attempts.died(this.workerNo);
    this.#dropAll();
    this.workerNo = null;
  }

  renew(): void {
    if (this.workerNo !== null && !this.store.call('renew', this.workerNo)) this.kill();
  }

  /** Whether a call may be made; it was answered, or the lease was lost: then everything is dropped. */
  #attempt<T>(call: (workerNo: number) => T): T | null {
    if (this.workerNo === null) return null;
    try {
      return call(this.workerNo);
    } catch (error) {
      if (!(error instanceof ModelLeaseLost)) throw error;
      this.kill();
      return null;
    }
  }

  #dropAll(): void {
    for (const thread of [...this.threads.values(), ...this.cache.values()]) thread.drop();
    for (const all of [this.threads, this.cache, this.wanted, this.eager, this.tasks]) all.clear();
    for (const all of [this.commits, this.outcomes, this.releasing]) all.length = 0;
    this.comparison = null;
    this.#armed = [];
  }

  // ---- claiming

  /** @param heard Whether the answer arrives. */
  claim(services: readonly number[], heard: boolean): void {
    const wanted = [...this.wanted];
    const claimNo = this.#options.number();
    const rows = this.#attempt((no) => this.store.call('claim', no, claimNo, services, wanted));
    if (rows === null || !heard) return;
    this.wanted.clear();
    for (const row of rows) this.#adopt(row, claimNo);
  }

  #adopt(row: ClaimedThread, claimNo: number): void {
    const cached = this.cache.get(row.thread_no);
    this.cache.delete(row.thread_no);
    const usable = cached !== undefined && cached.lastCommitNo === row.last_commit_no;
    if (cached !== undefined && !usable) cached.drop();
    const name = this.store.rows.serviceName(row.service_no);
    const thread = usable ? cached : new ActiveThread(row, claimNo, infoOf(row, name), this);
    this.threads.set(row.thread_no, thread);
    const settle = () => {
      if (!this.holds(thread)) return;
      for (const [op, ms] of JSON.parse(row.timers ?? '[]') as [number, number][]) this.armTimer(thread, op, ms);
      for (const [inbox_no, kind, op, payload] of JSON.parse(row.mail ?? '[]') as [number, 'done', number, string][])
        thread.postMail({ thread_no: row.thread_no, inbox_no, kind, op, payload });
      if (!usable && row.last_seq !== null) this.#rerunLost(thread);
      if (thread.stage === 'idle') this.becameIdle(thread);
    };
    if (usable) thread.resume(row, claimNo);
    else if (row.last_seq === null) thread.begin();
    else {
      this.recovering++;
      thread
        .recover(JSON.parse(row.tasks ?? '[]') as number[])
        .then(settle)
        .catch((error: unknown) => this.failed(thread, error))
        .finally(() => this.recovering--);
      return;
    }
    settle();
  }

  /** Asks what this process owns; the answer waits for {@link compared}. */
  compare(): void {
    const { workerNo } = this;
    if (workerNo === null || this.comparison !== null) return;
    const before = this.#options.number();
    const settled = (thread: ActiveThread) => thread.stage === 'idle' && thread.claimNo < before;
    this.comparison = {
      workerNo,
      owned: this.store.call('owned', workerNo, before),
      threads: [...this.threads.values()].filter(settled),
      running: [...this.tasks.values()],
      finishing: new Set(this.outcomes.map(({ threadNo, op }) => taskKey(threadNo, op))),
      settled,
    };
  }

  /** What this process has never heard of goes back; what is not its own any more is dropped. */
  compared(): void {
    const { comparison } = this;
    this.comparison = null;
    if (comparison === null || comparison.workerNo !== this.workerNo) return;
    const { owned, threads, running, finishing, settled } = comparison;
    for (const [threadNo, epoch] of owned.threads)
      if (!this.threads.has(threadNo)) this.releasing.push({ threadNo, epoch });
    const ours = new Set(owned.threads.map(([threadNo]) => threadNo));
    for (const thread of threads)
      if (!ours.has(thread.threadNo) && this.holds(thread) && settled(thread)) this.#drop(thread);
    const rows = new Set(owned.tasks.map(([threadNo, op]) => taskKey(threadNo, op)));
    for (const task of running) {
      const key = taskKey(task.threadNo, task.op);
      if (!rows.has(key) && this.tasks.get(key) === task) this.tasks.delete(key);
    }
    const here = {
      runs: ({ threadNo, op }: { threadNo: number; op: number }) =>
        this.tasks.has(taskKey(threadNo, op)) || this.eager.has(taskKey(threadNo, op)),
      finishes: ({ threadNo, op }: { threadNo: number; op: number }) =>
        finishing.has(taskKey(threadNo, op)) ||
        this.outcomes.some((outcome) => outcome.threadNo === threadNo && outcome.op === op),
      settles: ({ threadNo, op }: { threadNo: number; op: number }) => this.threads.get(threadNo)?.settles(op) ?? false,
    };
    for (const [threadNo, op, epoch] of owned.tasks)
      if (!isKnown({ threadNo, op }, here)) this.outcomes.push({ threadNo, op, epoch, kind: 'release', payload: null });
  }

  release(): void {
    const one = this.releasing.shift();
    if (one !== undefined && !this.threads.has(one.threadNo))
      this.#attempt((no) => this.store.call('release', no, one.threadNo, one.epoch));
  }

  #drop(thread: ActiveThread): void {
    this.abortActivities(thread, 'all');
    thread.drop();
    this.#unown(thread);
  }

  #unown(thread: ActiveThread): void {
    if (this.holds(thread)) this.threads.delete(thread.threadNo);
  }

  // ---- what goes on

  holds(thread: ActiveThread): boolean {
    return this.threads.get(thread.threadNo) === thread;
  }

  get quiet(): boolean {
    return (
      this.commits.length === 0 && this.recovering === 0 && [...this.threads.values()].every((thread) => thread.quiet)
    );
  }

  get hasMail(): boolean {
    for (const mail of this.store.rows.inbox.values()) {
      const thread = this.threads.get(mail.thread);
      if (mail.worker === this.workerNo && thread !== undefined && !thread.knownMail.has(mail.no)) return true;
    }
    return false;
  }

  fetchMail(): void {
    const known = [...this.threads.values()].flatMap((thread) => [...thread.knownMail]);
    const mail = this.#attempt((no) => this.store.call('mail', no, known)) ?? [];
    for (const letter of mail) this.threads.get(letter.thread_no)?.postMail(letter);
  }

  freshMail(): Promise<void> {
    this.fetchMail();
    return Promise.resolve();
  }

  fireDue(): void {
    const due = this.#armed.filter(({ dueAt }) => dueAt <= this.monotonic());
    this.#armed = this.#armed.filter((armed) => !due.includes(armed));
    for (const { thread, epoch, op } of due) if (this.holds(thread) && thread.epoch === epoch) thread.fire(op);
  }

  get nextDue(): number {
    return Math.min(Infinity, ...this.#armed.map(({ dueAt }) => dueAt));
  }

  /** Sends commits in one call; their answers wait for {@link answer}. */
  send(commits: readonly SentCommit[]): void {
    const items = commits.map(({ item }) => item);
    const answers = this.#attempt((no) => this.store.call('commit', no, items));
    if (answers === null) return;
    commits.forEach((commit, index) => {
      const answer = answers[index] as CommitAnswer;
      // ActiveThread would send it again by the real clock.
      if (answer.status === 'early') commit.notBefore = this.monotonic() + answer.waitMs;
      else commit.answer = answer;
    });
  }

  /** The worker hears of a commit. */
  hear(commit: SentCommit): void {
    if (commit.answer === null) return;
    this.commits.splice(this.commits.indexOf(commit), 1);
    commit.caller.answered(commit.answer);
  }

  /** @returns whether it was asked for. */
  park(thread: ActiveThread): boolean {
    if (!thread.quiet || this.#makeRows(thread) || !thread.hasSources) return false;
    thread.suspend();
    const { threadNo, epoch } = thread;
    const answer = this.#attempt((no) => this.store.call('park', no, threadNo, epoch, [...thread.open.keys()]));
    if (answer === null) return false;
    if (answer === 'fenced') this.#drop(thread);
    else if (answer === 'mail') {
      thread.unsuspend();
      this.fetchMail();
    } else {
      this.#leaveTasks(thread);
      this.#unown(thread);
      this.cache.set(threadNo, thread);
      if (thread.park()) this.reclaim(thread);
    }
    return true;
  }

  evict(): void {
    for (const thread of this.cache.values()) thread.drop();
    this.cache.clear();
  }

  // ---- activities

  claimTasks(heard: boolean): void {
    const claimNo = this.#options.number();
    const taken = this.#attempt((no) => this.store.call('claimTasks', no, claimNo));
    if (taken === null || !heard) return;
    for (const { thread_no: threadNo, op, epoch, input } of taken) {
      if (this.tasks.has(taskKey(threadNo, op))) continue; // a repeated claim
      const { args } = JSON.parse(input) as { args: CallArguments };
      this.tasks.set(taskKey(threadNo, op), { threadNo, op, epoch, args, thread: null });
      this.#options.attempts.began(threadNo, op, this.workerNo);
    }
  }

  /** An attempt ends: its outcome goes to its thread when that is here, else on its way to the row. */
  finishTask(key: string): void {
    const task = this.tasks.get(key);
    if (task === undefined) return;
    this.tasks.delete(key);
    const outcome = outcomeOf(task.args);
    const { threadNo, op, epoch, thread } = task;
    this.#options.attempts.ended(threadNo, op, this.workerNo);
    if (thread !== null && this.holds(thread)) thread.post({ event: eventOf(op, outcome), inboxNo: null });
    else this.outcomes.push({ threadNo, op, epoch, ...finishOf(outcome) });
  }

  /** Sends outcomes to the rows. @param twice The call is made again, as when its answer was lost. */
  sendOutcomes(twice: boolean): void {
    const outcomes = [...this.outcomes];
    for (let n = 0; n < (twice ? 2 : 1); n++) this.#attempt((no) => this.store.call('finishTasks', no, outcomes));
    this.outcomes.splice(0, outcomes.length);
  }

  /** What runs for a thread goes on without it. */
  #leaveTasks(thread: ActiveThread): void {
    for (const task of this.tasks.values()) if (task.thread === thread) task.thread = null;
  }

  finishEager(key: string): void {
    const eager = this.eager.get(key);
    if (eager === undefined || eager.makingRow) return;
    this.eager.delete(key);
    const operation = eager.thread.open.get(eager.op);
    if (operation?.kind !== 'activity') return;
    const outcome = outcomeOf(JSON.parse(operation.spec.args) as CallArguments);
    this.#options.attempts.ended(eager.thread.threadNo, eager.op, this.workerNo);
    eager.thread.post({ event: eventOf(eager.op, outcome), inboxNo: null });
  }

  /** Activities that ran in a process that is gone become tasks. */
  #rerunLost(thread: ActiveThread): void {
    for (const [op, operation] of thread.open)
      if (operation.kind === 'activity' && !operation.hasTask && !thread.opsWithMail.has(op))
        this.#makeRow(thread, op, null);
  }

  /** @returns whether there were any: then the thread is not quiet yet. */
  #makeRows(thread: ActiveThread): boolean {
    const eager = [...this.eager.values()].filter((one) => one.thread === thread);
    for (const one of eager) {
      if (one.makingRow) continue;
      one.makingRow = true;
      this.#makeRow(thread, one.op, this.#options.number());
    }
    return eager.length > 0;
  }

  #makeRow(thread: ActiveThread, op: number, claimNo: number | null): void {
    thread.postChore(async () => {
      const operation = thread.open.get(op);
      const key = taskKey(thread.threadNo, op);
      if (operation?.kind !== 'activity' || operation.hasTask) return;
      if (claimNo !== null && !this.eager.has(key)) return; // it was aborted meanwhile
      const { threadNo, epoch } = thread;
      const input = activityText(operation.spec);
      const item = { threadNo, epoch, op, name: operation.name, input, claimNo };
      const made = this.#attempt((no) => this.store.call('queueTask', no, this.#options.number(), item));
      if (made === null) return;
      if (!made) {
        this.refused(thread);
        return;
      }
      operation.hasTask = true;
      if (!this.eager.delete(key)) return;
      const { args } = JSON.parse(input) as { args: CallArguments };
      this.tasks.set(key, { threadNo, op, epoch: 1, args, thread });
    });
  }

  // ---- ThreadPort

  monotonic(): number {
    return this.store.rows.now - this.store.rows.skew;
  }

  clock(): number {
    return this.store.rows.now;
  }

  commit(item: CommitItem, caller: Caller<CommitAnswer>): void {
    const thread = this.threads.get(item.threadNo);
    if (thread === undefined || thread.epoch !== item.epoch) return; // it was dropped: nobody hears of it
    const numbered = { ...item, commitNo: this.#options.number() };
    // The number is drawn at random; here it must be the same in each run of a seed.
    Object.assign(item, { commitNo: numbered.commitNo });
    this.commits.push({ thread, item, caller, answer: null, notBefore: 0 });
  }

  loadHistory(threadNo: number): Promise<HistoryRow[]> {
    return Promise.resolve(this.store.loadHistory(threadNo));
  }

  makeInstance(thread: ActiveThread, attempt: number, recording: Recording | null): Instance {
    const { info } = thread;
    return new Instance({
      info: { ...info, attempt },
      run: (instance) =>
        runAs(instance, async () => this.#options.run(instance, info.workflowName, argsOf(thread.row))),
      conclude: (outcome, told) =>
        conclude(outcome, told, (value) => (told.hookNo === null ? encodePayload(value, 'result') : null)),
      recording,
      onLateCommand: () => thread.lateCommand(),
    });
  }

  chooseEager = () => () => this.#options.chooseEager();

  /** No activity here brings its function along. */
  resumeStep(): void {}

  resumeSteps(): void {}

  startEager(thread: ActiveThread, op: number): void {
    if (this.store.rows.thread(thread.threadNo).opened <= op)
      this.reason ??= new Error(`activity ${op} of thread ${thread.threadNo} begins before its scheduling is durable`);
    if (!this.holds(thread)) return;
    this.eager.set(taskKey(thread.threadNo, op), { thread, op, makingRow: false });
    this.#options.attempts.began(thread.threadNo, op, this.workerNo);
  }

  armTimer(thread: ActiveThread, op: number, ms: number): void {
    const dueAt = this.monotonic() + ms;
    thread.dueAt.set(op, dueAt);
    if (this.holds(thread)) this.#armed.push({ thread, epoch: thread.epoch, op, dueAt });
  }

  abortActivities(thread: ActiveThread, ops: readonly number[] | 'all'): void {
    for (const [key, eager] of this.eager)
      if (eager.thread === thread && (ops === 'all' || ops.includes(eager.op))) this.eager.delete(key);
    for (const [key, task] of this.tasks)
      if (task.threadNo === thread.threadNo && (ops === 'all' ? thread.open.has(task.op) : ops.includes(task.op)))
        this.tasks.delete(key);
  }

  trace(): void {}

  beginChild(): null {
    return null;
  }

  attemptFailed(): void {}

  began(): void {}

  becameBusy(): void {}

  becameIdle(thread: ActiveThread): void {
    if (this.holds(thread) && thread.pausing) this.pausing(thread);
  }

  pausing(thread: ActiveThread): void {
    if (thread.stage !== 'idle' || thread.holdsUnstored || !this.holds(thread) || this.#makeRows(thread)) return;
    this.#leaveTasks(thread);
    thread.drop();
    this.#unown(thread);
    this.releasing.push({ threadNo: thread.threadNo, epoch: thread.epoch });
  }

  closed(thread: ActiveThread): void {
    this.#drop(thread);
  }

  refused(thread: ActiveThread): void {
    if (this.holds(thread)) this.releasing.push({ threadNo: thread.threadNo, epoch: thread.epoch });
    this.#drop(thread);
  }

  blocked(thread: ActiveThread, reason: Error): void {
    this.#drop(thread);
    this.reason ??= reason;
  }

  failed(thread: ActiveThread, error: unknown): void {
    if (thread.stage !== 'gone') this.blocked(thread, error instanceof Error ? error : new Error(String(error)));
  }

  reclaim(thread: ActiveThread): void {
    if (this.cache.get(thread.threadNo) === thread) this.wanted.add(thread.threadNo);
  }
}

function finishOf(outcome: CallOutcome): { kind: 'done' | 'fail'; payload: string } {
  return outcome.ok
    ? { kind: 'done', payload: outcome.text }
    : { kind: 'fail', payload: JSON.stringify(outcome.failure) };
}
