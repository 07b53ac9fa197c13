/**
 * The worker process: one per database and namespace in this process, whatever number of worker objects it serves.
 *
 * Owns: the registration and its lease, the connections, the threads and tasks this process owns, the loops that find
 * work and keep house. Does not own: the order inside a thread (active-thread.ts), what an entry holds (entry-draft.ts).
 *
 * Invariants:
 * 1. What the database says this worker owns is in `#threads` or `#running`, or is given back (`#compare`).
 * 2. Nothing is started by a worker whose lease may be over by its own monotonic clock, counted from before the last
 *    renewal was sent.
 * 3. When the lease is lost everything is dropped before anything new is claimed, under a new registration.
 */

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { performance } from 'node:perf_hooks';
import { type AttemptOutcome, runAttempt } from '../activity/attempt.js';
import { activityText, decodeActivityInput } from '../codec/entry-text.js';
import { encodePayload } from '../codec/payload.js';
import { ActivityLostError, CancelledFailure, errorFromSqlState, LeaseLostError } from '../core/errors.js';
import { failureFromError } from '../core/failure.js';
import type { RetrySpec } from '../core/history.js';
import { defaultRetryPolicy, type RetryPolicy, retryDelayMs } from '../core/retry-policy.js';
import { Batcher } from '../postgres/batcher.js';
import type { Database, Lane } from '../postgres/database.js';
import { migrate } from '../postgres/migrate.js';
import { schemaName } from '../postgres/namespace.js';
import { ANYTHING, type Notifier, openNotifier } from '../postgres/notifications.js';
import { type CommitAnswer, type CommitItem, commit, commitBytes } from '../postgres/protocol/commit.js';
import { type ClaimedTask, claimTasks, finishTasks, queueTasks, type TaskOutcome } from '../postgres/protocol/tasks.js';
import {
  blockThread,
  type ClaimedThread,
  claimThreads,
  fetchMail,
  fetchOwned,
  loadHistory,
  parkThreads,
  releaseThreads,
} from '../postgres/protocol/threads.js';
import {
  reap,
  registerWorker,
  renewLease,
  retireWorker,
  type Service,
  takeOver,
  tidy,
} from '../postgres/protocol/workers.js';
import { SqlError } from '../postgres/sql-error.js';
import { conclude } from '../replay/conclude.js';
import { Instance } from '../replay/instance.js';
import type { Recording } from '../replay/recording.js';
import { runAs } from '../workflow/context.js';
import { ActiveThread, type ThreadPort } from './active-thread.js';
import { RunningActivities, type RunningActivity } from './activity-slots.js';
import { ClaimLoop } from './claim-loop.js';
import { DueHeap } from './due-heap.js';
import { consoleLogger, type Logger } from './logger.js';
import type { ResolvedTuning, UserFunction } from './options.js';
import type { Serving } from './serving.js';
import { watchStrayRejections } from './stray-rejections.js';
import { TurnLoop } from './turn-loop.js';

const SWEEP_MS = 250;
const REAP_MS = 2_000;
const TIDY_MS = 10_000;
const COMPARE_MS = 5_000;
/** A thread whose next timer is due this soon stays here: parking and claiming it again would cost more. */
const KEEP_FOR_TIMER_MS = 5_000;
/** How often an activity may be lost with its process before it fails for good. */
const MAX_LOSSES = 5;

export class Host implements ThreadPort {
  readonly namespace: string;
  readonly turns = new TurnLoop();
  readonly #schema: string;
  readonly #database: Database;
  readonly #tuning: ResolvedTuning;
  readonly #logger: Logger;
  readonly #notifier: Notifier;
  readonly #unsubscribe: () => void;
  readonly #lanes: { commit: Lane; side: Lane; claim: Lane; task: Lane; lease: Lane };
  readonly #commits: Batcher<CommitItem, CommitAnswer>;
  readonly #outcomes: Batcher<TaskOutcome, null>;
  readonly #servings = new Set<Serving>();
  readonly #threads = new Map<number, ActiveThread>();
  readonly #idle = new Map<number, ActiveThread>();
  readonly #cache = new Map<number, ActiveThread>();
  readonly #running = new RunningActivities();
  readonly #byService = new Map<number, { serving: Serving; workflow: string }>();
  readonly #activityQueues = new Map<string, Serving[]>();
  /** Functions that workflows brought along in proxyActivities, for attempts that come as tasks. */
  readonly #brought = new Map<string, UserFunction>();
  readonly #wanted = new Set<number>();
  readonly #finishing = new Set<string>();
  readonly #wokenForName = new Set<string>();
  readonly #due = new DueHeap(() => this.monotonic());
  readonly #timers: NodeJS.Timeout[] = [];
  #workerNo = 0;
  #leaseUntil = 0;
  #claimCounter = 1;
  #claimsInFlight = new Set<number>();
  #clockOffset = 0;
  #heard = false;
  #fetchingMail: Promise<void> | null = null;
  #mailAgain = false;
  #mailPollMs = 20;
  #lastMailPoll = 0;
  #registering: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(database: Database, namespace: string, tuning: ResolvedTuning) {
    this.namespace = namespace;
    this.#database = database;
    this.#schema = schemaName(namespace);
    this.#tuning = tuning;
    this.#logger = consoleLogger(tuning.logLevel);
    this.#lanes = {
      commit: database.lane('commit'),
      side: database.lane('side'),
      claim: database.lane('claim'),
      task: database.lane('task'),
      lease: database.lane('lease'),
    };
    this.#notifier = openNotifier(database, this.#schema, { remote: tuning.notifications, logger: this.#logger });
    watchStrayRejections(this.#logger);
    this.#unsubscribe = this.#notifier.subscribe((hint) => this.#hear(hint));
    this.#commits = new Batcher({
      main: this.#lanes.commit,
      side: this.#lanes.side,
      bytes: commitBytes,
      send: async (lane, items) => {
        const { answers, hints } = await commit(lane, this.#schema, this.#workerNo, items);
        this.#tell(hints);
        return answers;
      },
    });
    this.#outcomes = new Batcher({
      main: this.#lanes.task,
      side: this.#lanes.side,
      bytes: (outcome) => 60 + (outcome.payload?.length ?? 0),
      send: async (lane, outcomes) => {
        this.#tell(await finishTasks(lane, this.#schema, this.#workerNo, outcomes));
        return outcomes.map(() => null);
      },
    });
  }

  /** Connects, makes or upgrades the schema. Takes over the caller's use of the database. */
  static async open(database: Database, namespace: string, tuning: ResolvedTuning): Promise<Host> {
    try {
      await migrate(database, namespace, { giveUpAfterMs: 30_000 });
    } catch (error) {
      await database.release();
      throw error;
    }
    const host = new Host(database, namespace, tuning);
    // Whoever holds an embedded database is alone: what earlier processes left behind is free at once.
    if (database.kind === 'pglite') await takeOver(host.#lanes.lease, host.#schema);
    return host;
  }

  get logger(): Logger {
    return this.#logger;
  }

  get lateCommandMs(): number {
    return this.#tuning.lateCommandMs;
  }

  monotonic(): number {
    return performance.now();
  }

  clock(): number {
    return this.monotonic() + this.#clockOffset;
  }

  // ---- serving

  /** Begins to serve the functions of a worker object. */
  async serve(serving: Serving): Promise<void> {
    this.#servings.add(serving);
    await this.#register();
    if (this.#timers.length === 0) this.#startLoops();
    serving.threadClaims = new ClaimLoop({
      take: (limit) => this.#claimThreads(serving, limit),
      capacity: () => serving.freeThreads,
      listening: () => this.#heard,
      failed: (error) => this.#callFailed('claim', error),
    });
    serving.taskClaims = new ClaimLoop({
      take: (limit) => this.#claimTasks(serving, limit),
      capacity: () => serving.freeActivities,
      listening: () => this.#heard,
      failed: (error) => this.#callFailed('claim_tasks', error),
    });
    serving.threadClaims.poke();
    serving.taskClaims.poke();
  }

  /** Stops serving in order: takes nothing new, lets activities finish, parks or gives back what is left. */
  async leave(serving: Serving): Promise<void> {
    if (!this.#servings.has(serving)) return;
    serving.draining = true;
    await Promise.all([serving.threadClaims?.stop(), serving.taskClaims?.stop()]);
    const deadline = this.monotonic() + serving.tuning.shutdownGraceMs;
    await this.#until(() => serving.activities === 0, deadline);
    for (const activity of this.#running.all()) {
      if (activity.serving === serving) await this.#leaveActivity(activity);
    }
    const mine = () => [...this.#threads.values()].filter((thread) => this.#servingOf(thread) === serving);
    // Late commands may still come: a thread is parked after its quiet time, as always.
    await this.#until(() => mine().length === 0, Math.max(deadline, this.monotonic() + 2 * serving.tuning.parkAfterMs));
    await this.#release(mine());
    for (const [threadNo, thread] of this.#cache) {
      if (this.#servingOf(thread) === serving) {
        thread.drop();
        this.#cache.delete(threadNo);
      }
    }
    this.#servings.delete(serving);
    this.#index();
  }

  get serves(): boolean {
    return this.#servings.size > 0;
  }

  /** The last worker object has gone: gives back the registration and the connections. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#due.close();
    this.#unsubscribe();
    for (const thread of [...this.#threads.values(), ...this.#cache.values()]) thread.drop();
    const soon = new Promise<void>((resolve) => setTimeout(resolve, 2_000).unref());
    await Promise.race([retireWorker(this.#lanes.claim, this.#schema, this.#workerNo).catch(() => {}), soon]);
    await this.#notifier.close();
    await Promise.all(Object.values(this.#lanes).map((lane) => lane.close()));
    await this.#database.release();
  }

  async #until(done: () => boolean, deadline: number): Promise<void> {
    while (!done() && this.monotonic() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** Its function is told to stop; another worker, or the next attempt, runs it again. */
  async #leaveActivity(activity: RunningActivity): Promise<void> {
    this.#running.abandon(activity, new Error('the worker stops'));
    this.#running.remove(activity);
    if (activity.task !== null) {
      const { epoch } = activity.task;
      await this.#finishTask(activity, { kind: 'release', payload: null, delayMs: 0 }, epoch);
    }
    // An eager one becomes a task, so that its thread can be parked.
    if (activity.task === null && activity.thread !== null) {
      this.#queueTask(activity.thread, activity.op, { attempt: activity.attempt, delayMs: 0, lastFailure: null });
    }
  }

  #startLoops(): void {
    const every = (ms: number, run: () => unknown) => {
      let busy = false;
      this.#timers.push(
        setInterval(() => {
          if (busy || this.#closed) return;
          busy = true;
          Promise.resolve(run())
            .catch((error) => this.#callFailed('housekeeping', error))
            .finally(() => {
              busy = false;
            });
        }, ms),
      );
    };
    every(Math.max(100, this.#tuning.leaseMs / 4), () => this.#renew());
    every(REAP_MS, async () => this.#tell(await reap(this.#lanes.lease, this.#schema)));
    every(TIDY_MS, async () => this.#tell(await tidy(this.#lanes.lease, this.#schema)));
    every(COMPARE_MS, () => this.#compare());
    every(SWEEP_MS, () => this.#sweep());
    every(SWEEP_MS / 10, () => this.#pollMail());
  }

  // ---- registration and lease

  #register(): Promise<void> {
    const next = this.#registering.then(() => this.#registerNow());
    this.#registering = next.catch(() => {});
    return next;
  }

  #key = randomUUID();

  async #registerNow(): Promise<void> {
    const servings = [...this.#servings];
    const services = servings.flatMap((serving): Service[] => [
      ...[...serving.workflows.keys()].map(
        (name): Service => ({ kind: 'workflow', taskQueue: serving.taskQueue, name }),
      ),
      { kind: 'activity', taskQueue: serving.taskQueue, name: '' },
    ]);
    for (;;) {
      const sentAt = this.monotonic();
      try {
        const { workerNo, serviceNos } = await registerWorker(this.#lanes.lease, this.#schema, {
          key: this.#key,
          description: `${hostname()}/${process.pid}`,
          leaseMs: this.#tuning.leaseMs,
          services,
        });
        this.#workerNo = workerNo;
        this.#leaseUntil = sentAt + this.#tuning.leaseMs;
        let index = 0;
        for (const serving of servings) {
          for (const name of serving.workflows.keys())
            serving.workflowServices.set(name, serviceNos[index++] as number);
          serving.activityService = serviceNos[index++] as number;
        }
        this.#index();
        return;
      } catch (error) {
        if (!isLeaseLost(error)) throw error;
        this.#key = randomUUID();
      }
    }
  }

  #index(): void {
    this.#byService.clear();
    this.#activityQueues.clear();
    for (const serving of this.#servings) {
      for (const [workflow, service] of serving.workflowServices) this.#byService.set(service, { serving, workflow });
      this.#activityQueues.set(serving.taskQueue, [...(this.#activityQueues.get(serving.taskQueue) ?? []), serving]);
    }
  }

  async #renew(): Promise<void> {
    const sentAt = this.monotonic();
    const workerNo = this.#workerNo;
    const alive = await renewLease(this.#lanes.lease, this.#schema, workerNo, this.#tuning.leaseMs);
    if (alive) this.#leaseUntil = sentAt + this.#tuning.leaseMs;
    else if (workerNo === this.#workerNo) this.#leaseLost();
  }

  get #leaseAlive(): boolean {
    return this.monotonic() < this.#leaseUntil;
  }

  #losing = false;

  /** Others have, or will have, what was ours: drop everything, come back under a new registration. */
  #leaseLost(): void {
    if (this.#losing || this.#closed) return;
    this.#losing = true;
    this.#logger.warn({ worker: this.#workerNo }, 'the lease was lost; dropping everything and registering anew');
    this.#leaseUntil = 0;
    for (const activity of this.#running.all()) {
      this.#running.abandon(activity, new LeaseLostError('the worker lost its lease'));
      this.#running.remove(activity);
    }
    for (const thread of [...this.#threads.values()]) this.#forget(thread);
    for (const thread of this.#cache.values()) thread.drop();
    this.#cache.clear();
    this.#key = randomUUID();
    this.#register()
      .then(() => this.#pokeAll())
      .catch((error) => this.#logger.error({ error }, 'registering failed'))
      .finally(() => {
        this.#losing = false;
      });
  }

  #callFailed(call: string, error: unknown): void {
    if (this.#closed) return;
    if (isLeaseLost(error)) this.#leaseLost();
    else if (error instanceof SqlError && error.code === '55P03')
      this.#logger.debug({ call }, 'a row is held; trying again');
    else this.#logger.error({ call, error }, 'a call failed');
  }

  // ---- hints

  /** Passes hints on: to this process, and to others unless only this one can act on them. */
  #tell(hints: string | null): void {
    if (hints === null || hints === '') return;
    for (const hint of hints.split(',')) {
      const service = hint.startsWith('q') ? Number(hint.slice(1)) : -1;
      const here =
        hint === `w${this.#workerNo}` ||
        (this.#byService.get(service)?.serving.freeThreads ?? 0) > 0 ||
        this.#freeFor(service);
      this.#notifier.notify(hint, { localOnly: here });
    }
  }

  #freeFor(service: number): boolean {
    for (const serving of this.#servings)
      if (serving.activityService === service && serving.freeActivities > 0) return true;
    return false;
  }

  #hear(hint: string): void {
    if (hint === ANYTHING) {
      this.#heard = true;
      this.#pokeAll();
    } else if (hint.startsWith('q')) {
      const service = Number(hint.slice(1));
      this.#byService.get(service)?.serving.threadClaims?.poke();
      for (const serving of this.#servings) if (serving.activityService === service) serving.taskClaims?.poke();
    } else if (hint === `w${this.#workerNo}`) {
      this.#fetchMail();
    }
  }

  #pokeAll(): void {
    for (const serving of this.#servings) {
      serving.threadClaims?.poke();
      serving.taskClaims?.poke();
    }
    this.#fetchMail();
  }

  // ---- threads

  async #claimThreads(serving: Serving, limit: number): Promise<{ count: number; dueInMs: number | null }> {
    const claimNo = this.#claimCounter++;
    this.#claimsInFlight.add(claimNo);
    const wanted = [...this.#wanted];
    this.#wanted.clear();
    try {
      const { rows, dueInMs } = await claimThreads(this.#lanes.claim, this.#schema, {
        workerNo: this.#workerNo,
        claimNo,
        services: [...serving.workflowServices.values()],
        limit,
        wanted,
      });
      const at = this.monotonic();
      for (const row of rows) {
        this.#clockOffset = row.clock_ms - at;
        this.#adopt(row, claimNo);
      }
      return { count: rows.length, dueInMs };
    } catch (error) {
      for (const threadNo of wanted) this.#wanted.add(threadNo);
      throw error;
    } finally {
      this.#claimsInFlight.delete(claimNo);
    }
  }

  #adopt(row: ClaimedThread, claimNo: number): void {
    const service = this.#byService.get(row.service_no);
    if (service === undefined || this.#threads.has(row.thread_no)) {
      // A claim that lost its answer and was repeated may name what is here already.
      if (service === undefined) void this.#release([{ threadNo: row.thread_no, epoch: row.epoch }]);
      return;
    }
    const cached = this.#cache.get(row.thread_no);
    this.#cache.delete(row.thread_no);
    // A cache is valid only if its last commit is the database's.
    const usable = cached !== undefined && cached.lastCommitNo === row.last_commit_no;
    if (cached !== undefined && !usable) cached.drop();
    const thread = usable ? cached : this.#makeThread(row, claimNo, service);
    this.#threads.set(row.thread_no, thread);
    service.serving.threads++;
    this.#animate(thread, row, claimNo, usable).catch((error) => this.failed(thread, error));
  }

  async #animate(thread: ActiveThread, row: ClaimedThread, claimNo: number, cached: boolean): Promise<void> {
    const claimedAt = this.monotonic();
    if (cached) thread.resume(row, claimNo);
    else if (row.last_seq === null) thread.begin();
    else await thread.recover(JSON.parse(row.tasks ?? '[]') as number[]);
    if (this.#threads.get(row.thread_no) !== thread) return;
    // Only now: one that is due at once finds the operation it fires.
    const passed = this.monotonic() - claimedAt;
    for (const [op, ms] of JSON.parse(row.timers ?? '[]') as [number, number][]) this.armTimer(thread, op, ms - passed);
    for (const [inbox_no, kind, op, payload] of JSON.parse(row.mail ?? '[]') as [
      number,
      'done',
      number | null,
      string | null,
    ][]) {
      thread.postMail({ thread_no: row.thread_no, inbox_no, kind, op, payload });
    }
    if (!cached && row.last_seq !== null) this.#rerunLost(thread);
    if (thread.stage === 'idle') this.becameIdle(thread);
  }

  /** Activities that ran eagerly in a process that is gone: open, without a task row, without mail. They run again. */
  #rerunLost(thread: ActiveThread): void {
    for (const [op, operation] of thread.open) {
      if (operation.kind !== 'activity' || operation.hasTask || thread.hasMailFor(op)) continue;
      if (this.chooseEager(thread)(operation.spec.taskQueue, operation.name, op)) this.startEager(thread, op);
      else this.#queueTask(thread, op, { attempt: 1, delayMs: 0, lastFailure: null });
    }
    for (const [op, pending] of thread.instance?.pending ?? []) {
      const operation = thread.open.get(op);
      if (pending.implementation !== null && operation?.kind === 'activity')
        this.#bring(thread, operation.name, pending.implementation);
    }
  }

  #makeThread(row: ClaimedThread, claimNo: number, service: { serving: Serving; workflow: string }): ActiveThread {
    const { serving, workflow } = service;
    const info = {
      workflowId: row.workflow_id,
      workflowName: workflow,
      taskQueue: serving.taskQueue,
      namespace: this.namespace,
      runNo: row.run_no,
      run: row.run,
      seed: String(row.request_no),
      createdMs: row.created_ms,
      parentWorkflowId: row.parent_workflow_id,
      originId: row.origin_id,
      expireS: row.expire_s,
      retry:
        row.config === null
          ? serving.tuning.retry
          : { ...defaultRetryPolicy, ...(JSON.parse(row.config) as RetryPolicy) },
    };
    return new ActiveThread(row, claimNo, info, this);
  }

  makeInstance(thread: ActiveThread, attempt: number, recording: Recording | null): Instance {
    const service = this.#byService.get(thread.row.service_no);
    const run = service?.serving.workflows.get(service.workflow);
    return new Instance({
      info: { ...thread.info, attempt },
      run: (instance) =>
        // Arguments are decoded for each instance: a function may change what it is given.
        runAs(instance, async () => {
          if (run === undefined) throw new Error(`workflow "${thread.info.workflowName}" is not served any more`);
          return run(...(JSON.parse(thread.row.args) as unknown[]));
        }),
      conclude: (outcome, info) => conclude(outcome, info, (value) => encodePayload(value, 'result')),
      recording,
      onLateCommand: () => thread.lateCommand(),
    });
  }

  commit(item: CommitItem): Promise<CommitAnswer> {
    return this.#commits.submit(item);
  }

  loadHistory(threadNo: number) {
    return loadHistory(this.#lanes.claim, this.#schema, threadNo);
  }

  armTimer(thread: ActiveThread, op: number, ms: number): void {
    const dueAt = this.monotonic() + ms;
    thread.dueAt.set(op, dueAt);
    // What is due later than this is seen when the thread is claimed for it.
    if (ms > 3_600_000) return;
    const { epoch } = thread;
    this.#due.add({
      dueAt,
      run: () => {
        if (this.#threads.get(thread.threadNo) === thread && thread.epoch === epoch) thread.fire(op);
      },
    });
  }

  becameIdle(thread: ActiveThread): void {
    thread.idleSince = this.monotonic();
    this.#idle.delete(thread.threadNo);
    if (this.#threads.get(thread.threadNo) === thread) this.#idle.set(thread.threadNo, thread);
  }

  becameBusy(thread: ActiveThread): void {
    this.#idle.delete(thread.threadNo);
  }

  closed(thread: ActiveThread, _item: CommitItem): void {
    this.abortActivities(thread, 'all');
    this.#forget(thread);
  }

  refused(thread: ActiveThread): void {
    this.#logger.debug(
      { workflowId: thread.info.workflowId },
      'a commit was refused; the thread is reloaded by whoever owns it',
    );
    this.abortActivities(thread, 'all');
    this.#forget(thread);
    void this.#release([thread]);
  }

  blocked(thread: ActiveThread, reason: Error): void {
    this.#logger.error({ workflowId: thread.info.workflowId, error: reason }, 'a workflow is blocked');
    this.abortActivities(thread, 'all');
    this.#forget(thread);
    blockThread(this.#lanes.side, this.#schema, this.#workerNo, thread, `${reason.name}: ${reason.message}`)
      .then((state) => {
        if (state === 'ready') this.#notifier.notify(`q${thread.row.service_no}`);
      })
      .catch((error) => this.#callFailed('block', error));
  }

  /** A stage of the thread ended with an error that is not its function's. */
  failed(thread: ActiveThread, error: unknown): void {
    if (thread.stage === 'gone' || this.#closed) return;
    if (isLeaseLost(error)) {
      this.#leaseLost();
    } else {
      this.blocked(thread, error instanceof Error ? error : new Error(String(error)));
    }
  }

  reclaim(thread: ActiveThread): void {
    this.#wanted.add(thread.threadNo);
    this.#byService.get(thread.row.service_no)?.serving.threadClaims?.poke();
  }

  #servingOf(thread: ActiveThread): Serving | undefined {
    return this.#byService.get(thread.row.service_no)?.serving;
  }

  /** The thread is not ours any more. */
  #forget(thread: ActiveThread): void {
    thread.drop();
    this.#unown(thread);
  }

  #unown(thread: ActiveThread): void {
    if (this.#threads.get(thread.threadNo) !== thread) return;
    this.#threads.delete(thread.threadNo);
    this.#idle.delete(thread.threadNo);
    this.#servingOf(thread)?.threadFreed();
  }

  async #release(threads: readonly (ActiveThread | { threadNo: number; epoch: number })[]): Promise<void> {
    if (threads.length === 0) return;
    for (const thread of threads) {
      if (!(thread instanceof ActiveThread)) continue;
      this.abortActivities(thread, 'all');
      this.#forget(thread);
    }
    try {
      this.#tell(await releaseThreads(this.#lanes.side, this.#schema, this.#workerNo, threads));
    } catch (error) {
      this.#callFailed('release', error);
    }
  }

  // ---- mail

  #fetchMail(): void {
    if (this.#closed) return;
    if (this.#fetchingMail !== null) {
      this.#mailAgain = true;
      return;
    }
    this.#fetchingMail = this.#fetchMailNow()
      .catch((error) => this.#callFailed('mail', error))
      .finally(() => {
        this.#fetchingMail = null;
        if (this.#mailAgain) {
          this.#mailAgain = false;
          this.#fetchMail();
        }
      });
  }

  async #fetchMailNow(): Promise<void> {
    this.#lastMailPoll = this.monotonic();
    if (this.#threads.size === 0) return;
    const known: number[] = [];
    for (const thread of this.#threads.values()) for (const inboxNo of thread.knownMail) known.push(inboxNo);
    const mail = await fetchMail(this.#lanes.claim, this.#schema, this.#workerNo, known);
    for (const letter of mail) this.#threads.get(letter.thread_no)?.postMail(letter);
    if (mail.length > 0) {
      this.#mailPollMs = 20;
      this.#mailAgain = true;
    }
  }

  /** Hints may be lost or switched off. */
  #pollMail(): void {
    if (this.#threads.size === 0 || this.monotonic() - this.#lastMailPoll < (this.#heard ? 1_000 : this.#mailPollMs))
      return;
    this.#mailPollMs = Math.min(1_000, this.#mailPollMs * 1.5);
    this.#fetchMail();
  }

  // ---- parking

  async #sweep(): Promise<void> {
    const now = this.monotonic();
    const threads: ActiveThread[] = [];
    for (const thread of this.#idle.values()) {
      const parkAfterMs = this.#servingOf(thread)?.tuning.parkAfterMs ?? this.#tuning.parkAfterMs;
      if (now - thread.idleSince < parkAfterMs) break;
      if (threads.length >= 500) break;
      if (!thread.quiet) continue;
      const draining = this.#servingOf(thread)?.draining ?? false;
      if (!draining && thread.nextDue < now + KEEP_FOR_TIMER_MS) {
        this.becameIdle(thread);
        continue;
      }
      if (this.#makeTasks(thread) || !thread.hasSources) continue; // nothing would wake it
      threads.push(thread);
    }
    if (threads.length > 0) await this.#park(threads);
  }

  /** Eager activities that run for long become tasks, so that their thread can be parked. @returns whether there were any. */
  #makeTasks(thread: ActiveThread): boolean {
    const eager = this.#activitiesOf(thread).filter((activity) => activity.task === null);
    for (const activity of eager) {
      this.#queueTask(thread, activity.op, {
        attempt: activity.attempt,
        delayMs: 0,
        lastFailure: null,
        running: activity,
      });
    }
    return eager.length > 0;
  }

  #activitiesOf(thread: ActiveThread): RunningActivity[] {
    return [...thread.open.keys()]
      .map((op) => this.#running.get(thread.threadNo, op))
      .filter((activity) => activity !== undefined)
      .filter((activity) => activity.thread === thread);
  }

  async #park(threads: readonly ActiveThread[]): Promise<void> {
    for (const thread of threads) {
      thread.suspend();
      this.#idle.delete(thread.threadNo);
    }
    let refusals: Map<number, 'mail' | 'fenced'>;
    try {
      refusals = await parkThreads(
        this.#lanes.claim,
        this.#schema,
        this.#workerNo,
        threads.map((thread) => ({
          threadNo: thread.threadNo,
          epoch: thread.epoch,
          blockedOn: [...thread.open.keys()],
        })),
      );
    } catch (error) {
      // A row is held by somebody's transaction, or the lease is lost: they stay ours until the next sweep.
      for (const thread of threads) thread.unsuspend();
      throw error;
    }
    for (const thread of threads) {
      if (thread.stage === 'gone') continue;
      const refusal = refusals.get(thread.threadNo);
      if (refusal === 'fenced') this.#forget(thread);
      else if (refusal === 'mail') thread.unsuspend();
      else this.#parked(thread);
    }
    if (refusals.size > 0) this.#fetchMail();
  }

  #parked(thread: ActiveThread): void {
    this.#unown(thread);
    for (const activity of this.#activitiesOf(thread)) activity.thread = null;
    this.#cache.set(thread.threadNo, thread);
    for (const [threadNo, oldest] of this.#cache) {
      if (this.#cache.size <= this.#tuning.maxCachedWorkflows) break;
      oldest.drop();
      this.#cache.delete(threadNo);
    }
    if (thread.park()) this.reclaim(thread);
  }

  // ---- activities

  chooseEager(thread: ActiveThread) {
    return (taskQueue: string, name: string, op: number): boolean => {
      const implementation = thread.instance?.pending.get(op)?.implementation ?? null;
      if (implementation !== null) this.#bring(thread, name, implementation);
      const serving = this.#activityQueues
        .get(taskQueue)
        ?.find((candidate) => candidate.freeActivities > this.#reserved(candidate));
      if (serving === undefined) return false;
      if (this.#functionFor(thread.info.taskQueue, thread.info.workflowName, taskQueue, name) === null) return false;
      this.#reservations.set(`${thread.threadNo}/${op}`, serving);
      this.#reservedBy.set(serving, this.#reserved(serving) + 1);
      return true;
    };
  }

  readonly #reservations = new Map<string, Serving>();
  readonly #reservedBy = new Map<Serving, number>();

  #reserved(serving: Serving): number {
    return this.#reservedBy.get(serving) ?? 0;
  }

  #takeReservation(threadNo: number, op: number): Serving | null {
    const key = `${threadNo}/${op}`;
    const serving = this.#reservations.get(key) ?? null;
    if (serving === null) return null;
    this.#reservations.delete(key);
    this.#reservedBy.set(serving, this.#reserved(serving) - 1);
    return serving;
  }

  #bring(thread: ActiveThread, name: string, implementation: unknown): void {
    this.#brought.set(`${thread.info.taskQueue}\0${thread.info.workflowName}\0${name}`, implementation as UserFunction);
  }

  /** An activity's function: what the workflow brought along, what its worker was given, what the queue's workers have. */
  #functionFor(workflowQueue: string, workflowName: string, taskQueue: string, name: string): UserFunction | null {
    const brought = this.#brought.get(`${workflowQueue}\0${workflowName}\0${name}`);
    if (brought !== undefined) return brought;
    const onQueue = this.#activityQueues.get(taskQueue) ?? [];
    const own = onQueue.find((serving) => serving.taskQueue === workflowQueue && serving.workflows.has(workflowName));
    for (const serving of own === undefined ? onQueue : [own, ...onQueue]) {
      const found = serving.activityFunctions.get(name);
      if (found !== undefined) return found;
    }
    return null;
  }

  startEager(thread: ActiveThread, op: number): void {
    const serving = this.#takeReservation(thread.threadNo, op);
    const operation = thread.open.get(op);
    if (serving === null || operation?.kind !== 'activity') return;
    const { spec, name } = operation;
    const run = this.#functionFor(thread.info.taskQueue, thread.info.workflowName, spec.taskQueue, name);
    if (run === null || !this.#leaseAlive) {
      this.#queueTask(thread, op, { attempt: 1, delayMs: 0, lastFailure: null });
      return;
    }
    const activity: RunningActivity = {
      threadNo: thread.threadNo,
      op,
      serving,
      name,
      abort: new AbortController(),
      retry: spec.retry,
      attempt: 1,
      thread,
      task: null,
      abandoned: false,
    };
    void this.#run(activity, run, {
      args: JSON.parse(spec.args) as unknown[],
      headers: spec.headers === null ? {} : (JSON.parse(spec.headers) as Record<string, unknown>),
      taskQueue: spec.taskQueue,
      startToCloseMs: spec.startToCloseMs,
      workflowId: thread.info.workflowId,
      workflowName: thread.info.workflowName,
      seed: thread.info.seed,
    });
  }

  async #run(
    activity: RunningActivity,
    run: UserFunction,
    call: {
      args: unknown[];
      headers: Record<string, unknown>;
      taskQueue: string;
      startToCloseMs: number | null;
      workflowId: string;
      workflowName: string;
      seed: string;
    },
  ): Promise<void> {
    this.#running.add(activity);
    const outcome = await runAttempt({
      run,
      abort: activity.abort,
      startToCloseMs: call.startToCloseMs,
      nonRetryableErrorTypes: activity.retry.nonRetryableErrorTypes ?? [],
      context: {
        activityName: activity.name,
        arguments: call.args,
        headers: call.headers,
        workflowId: call.workflowId,
        workflowName: call.workflowName,
        workflowTopic: `${call.taskQueue}-${activity.name}`,
        taskQueue: call.taskQueue,
        namespace: this.namespace,
        attempt: activity.attempt,
        idempotencyKey: `${call.seed}-${activity.threadNo}-${activity.op}`,
      },
    });
    this.#running.remove(activity);
    if (!activity.abandoned) this.#ended(activity, outcome);
  }

  /** An attempt ended: its outcome goes to the thread when that is here, else into its inbox. */
  #ended(activity: RunningActivity, outcome: AttemptOutcome): void {
    const { thread, op } = activity;
    const retryInMs =
      !outcome.ok && outcome.retryable && activity.attempt <= activity.retry.maximumAttempts
        ? retryDelayMs({ ...activity.retry, throwOnError: true }, activity.attempt)
        : null;
    if (thread !== null && this.#threads.get(activity.threadNo) === thread) {
      thread.afterSuspension(
        () =>
          this.#ended(
            { ...activity, thread: this.#threads.get(activity.threadNo) === thread ? thread : null },
            outcome,
          ),
        () => {
          if (outcome.ok) {
            thread.post({
              event: {
                kind: 'done',
                op,
                value: outcome.text === null ? undefined : JSON.parse(outcome.text),
                text: outcome.text,
              },
              inboxNo: null,
            });
          } else if (retryInMs === null) {
            thread.post({ event: { kind: 'fail', op, failure: outcome.failure }, inboxNo: null });
          } else if (activity.task !== null) {
            void this.#finishTask(
              activity,
              { kind: 'retry', payload: JSON.stringify(outcome.failure), delayMs: retryInMs },
              activity.task.epoch,
            );
          } else {
            this.#queueTask(thread, op, {
              attempt: activity.attempt + 1,
              delayMs: retryInMs,
              lastFailure: JSON.stringify(outcome.failure),
            });
          }
        },
      );
      return;
    }
    if (activity.task === null) return; // its thread went elsewhere, and runs it again there
    const result: Pick<TaskOutcome, 'kind' | 'payload' | 'delayMs'> = outcome.ok
      ? { kind: 'done', payload: outcome.text, delayMs: 0 }
      : {
          kind: retryInMs === null ? 'fail' : 'retry',
          payload: JSON.stringify(outcome.failure),
          delayMs: retryInMs ?? 0,
        };
    void this.#finishTask(activity, result, activity.task.epoch);
  }

  async #finishTask(
    activity: { threadNo: number; op: number; serving?: Serving },
    result: Pick<TaskOutcome, 'kind' | 'payload' | 'delayMs'>,
    epoch: number,
  ): Promise<void> {
    const key = `${activity.threadNo}/${activity.op}`;
    this.#finishing.add(key);
    try {
      await this.#outcomes.submit({ threadNo: activity.threadNo, op: activity.op, epoch, ...result });
      if (result.kind === 'retry' || result.kind === 'release') this.#lookAfter(result.delayMs);
    } catch (error) {
      this.#callFailed('finish_tasks', error);
    } finally {
      this.#finishing.delete(key);
    }
  }

  /** A task is due in a moment: whoever is here should look then. */
  #lookAfter(delayMs: number): void {
    this.#due.add({
      dueAt: this.monotonic() + delayMs,
      run: () => {
        for (const serving of this.#servings) serving.taskClaims?.poke();
      },
    });
  }

  /** Gives an eager activity a task row; in turn with the commits of its thread. */
  #queueTask(
    thread: ActiveThread,
    op: number,
    task: { attempt: number; delayMs: number; lastFailure: string | null; running?: RunningActivity },
  ): void {
    thread.postChore(async () => {
      const operation = thread.open.get(op);
      const { running } = task;
      if (operation?.kind !== 'activity' || operation.hasTask) return;
      if (running !== undefined && this.#running.get(thread.threadNo, op) !== running) return; // it ended meanwhile
      const claimNo = running === undefined ? null : this.#claimCounter++;
      const refused = await queueTasks(this.#lanes.side, this.#schema, this.#workerNo, [
        {
          threadNo: thread.threadNo,
          epoch: thread.epoch,
          op,
          taskQueue: operation.spec.taskQueue,
          name: operation.name,
          input: activityText(operation.spec),
          attempt: task.attempt,
          delayMs: task.delayMs,
          claimNo,
          lastFailure: task.lastFailure,
        },
      ]);
      if (refused.length > 0) {
        this.refused(thread);
        return;
      }
      operation.hasTask = true;
      if (running !== undefined && claimNo !== null) running.task = { epoch: 1, claimNo };
      else this.#lookAfter(task.delayMs);
    });
  }

  abortActivities(thread: ActiveThread, ops: readonly number[] | 'all'): void {
    for (const op of ops === 'all' ? thread.open.keys() : ops) {
      this.#takeReservation(thread.threadNo, op);
      const activity = this.#running.get(thread.threadNo, op);
      if (activity !== undefined && (activity.thread === thread || activity.thread === null)) {
        this.#running.abandon(activity, new CancelledFailure('the workflow does not wait for this activity any more'));
      }
    }
  }

  async #claimTasks(serving: Serving, limit: number): Promise<{ count: number; dueInMs: number | null }> {
    const claimNo = this.#claimCounter++;
    this.#claimsInFlight.add(claimNo);
    try {
      const { rows, dueInMs } = await claimTasks(this.#lanes.task, this.#schema, {
        workerNo: this.#workerNo,
        claimNo,
        services: [serving.activityService],
        limit,
      });
      for (const row of rows) this.#startTask(serving, row, claimNo);
      return { count: rows.length, dueInMs };
    } finally {
      this.#claimsInFlight.delete(claimNo);
    }
  }

  #startTask(serving: Serving, row: ClaimedTask, claimNo: number): void {
    if (this.#running.get(row.thread_no, row.op) !== undefined) return; // a repeated claim
    const task = { threadNo: row.thread_no, op: row.op };
    const input = decodeActivityInput(row.input);
    if (row.losses >= MAX_LOSSES) {
      const error = new ActivityLostError(`activity "${row.name}" was lost with its process ${row.losses} times`);
      void this.#finishTask(
        task,
        { kind: 'fail', payload: JSON.stringify(failureFromError(error)), delayMs: 0 },
        row.epoch,
      );
      return;
    }
    const run =
      this.#functionFor(row.workflow_queue, row.workflow_name, serving.taskQueue, row.name) ?? this.#unknown(row);
    if (run === null || !this.#leaseAlive) {
      void this.#finishTask(task, { kind: 'release', payload: null, delayMs: 200 }, row.epoch);
      return;
    }
    const activity: RunningActivity = {
      ...task,
      serving,
      name: row.name,
      abort: new AbortController(),
      retry: input.retry as RetrySpec,
      attempt: row.attempt,
      thread: null,
      task: { epoch: row.epoch, claimNo },
      abandoned: false,
    };
    void this.#run(activity, run, {
      args: input.args,
      headers: input.headers ?? {},
      taskQueue: serving.taskQueue,
      startToCloseMs: input.startToCloseMs,
      workflowId: row.workflow_id,
      workflowName: row.workflow_name,
      seed: String(row.request_no),
    });
  }

  /**
   * A name nobody gave us. When its workflow runs here, it may bring the function along (proxyActivities): it is woken
   * once, which replays it; null until then. Otherwise the attempt fails, and is retried as any other.
   */
  #unknown(row: ClaimedTask): UserFunction | null {
    const here = [...this.#servings].some(
      (s) => s.taskQueue === row.workflow_queue && s.workflows.has(row.workflow_name),
    );
    const key = `${row.thread_no}/${row.op}/${row.attempt}`;
    if (here && !this.#wokenForName.has(key)) {
      this.#wokenForName.add(key);
      this.#wanted.add(row.thread_no);
      for (const serving of this.#servings) if (serving.workflows.has(row.workflow_name)) serving.threadClaims?.poke();
      return null;
    }
    this.#wokenForName.delete(key);
    return () => {
      throw new Error(`Activity '${row.name}' not found in registry`);
    };
  }

  // ---- what the database says we own

  async #compare(): Promise<void> {
    const claimsBefore = Math.min(this.#claimCounter, ...this.#claimsInFlight);
    const threads = [...this.#threads.values()].filter(
      (thread) => thread.stage !== 'committing' && thread.claimNo < claimsBefore,
    );
    const tasks = this.#running.all().filter(({ task }) => task !== null && task.claimNo < claimsBefore);
    const finishing = new Set(this.#finishing); // their outcomes are on their way
    const owned = await fetchOwned(this.#lanes.claim, this.#schema, this.#workerNo, claimsBefore);

    await this.#release(owned.threads.filter(({ threadNo }) => !this.#threads.has(threadNo)));
    for (const task of owned.tasks) {
      if (this.#running.get(task.threadNo, task.op) !== undefined || finishing.has(`${task.threadNo}/${task.op}`))
        continue;
      await this.#finishTask(task, { kind: 'release', payload: null, delayMs: 0 }, task.epoch);
    }

    const ownedThreads = new Set(owned.threads.map(({ threadNo }) => threadNo));
    for (const thread of threads) {
      // A commit or a parking that came in between explains it.
      if (ownedThreads.has(thread.threadNo) || this.#threads.get(thread.threadNo) !== thread) continue;
      if (thread.stage === 'committing' || thread.stage === 'parking' || thread.claimNo >= claimsBefore) continue;
      this.#logger.debug({ workflowId: thread.info.workflowId }, 'a thread is not ours any more');
      this.abortActivities(thread, 'all');
      this.#forget(thread);
    }
    const ownedTasks = new Set(owned.tasks.map(({ threadNo, op }) => `${threadNo}/${op}`));
    for (const activity of tasks) {
      if (
        ownedTasks.has(`${activity.threadNo}/${activity.op}`) ||
        this.#running.get(activity.threadNo, activity.op) !== activity
      )
        continue;
      // Cancelled, or its workflow ended.
      this.#running.abandon(activity, new CancelledFailure('the workflow does not wait for this activity any more'));
    }
  }
}

function isLeaseLost(error: unknown): boolean {
  if (error instanceof LeaseLostError) return true;
  return error instanceof SqlError && errorFromSqlState(error.code, error.message) instanceof LeaseLostError;
}
