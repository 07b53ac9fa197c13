/**
 * The threads this process owns, and those it has cached.
 *
 * Owns: claiming, bringing to life, parking, giving back. Does not own: the order inside a thread (active-thread.ts), mail
 * (thread-mail.ts), activities (activity-runner.ts).
 *
 * Invariant: what the database says this worker owns is here, or is given back (`compare`).
 */

import { AsyncResource } from 'node:async_hooks';
import { decodePayload, encodePayload } from '../codec/payload.js';
import type { Failure } from '../core/failure.js';
import type { TraceAttributes } from '../core/history.js';
import type { LifecycleEvents } from '../core/lifecycle-events.js';
import { readLineage } from '../core/lineage.js';
import type { Logger } from '../core/logger.js';
import { defaultRetryPolicy, type RetryPolicy } from '../core/retry-policy.js';
import { Batcher, LARGE_ITEM_BYTES } from '../postgres/batcher.js';
import { untilFree } from '../postgres/held-row.js';
import { type CommitAnswer, type CommitItem, commit, commitBytes } from '../postgres/protocol/commit.js';
import {
  blockThread,
  type ClaimedMail,
  type ClaimedThread,
  claimThreads,
  fetchOwned,
  type HistoryRow,
  loadOwnHistory,
  parkThreads,
  releaseThreads,
} from '../postgres/protocol/threads.js';
import { conclude } from '../replay/conclude.js';
import { Instance } from '../replay/instance.js';
import type { Recording } from '../replay/recording.js';
import { runAs } from '../workflow/context.js';
import { throughInbound } from '../workflow/interceptors.js';
import { ActiveThread, type ThreadPort } from './active-thread.js';
import { ActivityRunner, type ThreadsOfActivities } from './activity-runner.js';
import { blockedBecause } from './blocked-reason.js';
import type { Taken } from './claim-loop.js';
import type { EagerChoice } from './entry-draft.js';
import type { HostContext } from './host-context.js';
import { workflowLayers } from './interceptors.js';
import { errorFields, failureFields, workflowFields } from './log-fields.js';
import type { Holdings } from './metrics.js';
import { isLeaseLost } from './registration.js';
import type { ServedWorkflow } from './services.js';
import type { Serving } from './serving.js';
import type { TracedWorkflow } from './span-reporter.js';
import type { Trial } from './suspects.js';
import { ThreadMail } from './thread-mail.js';
import { ThreadShares } from './thread-shares.js';
import { TurnLoop } from './turn-loop.js';

/** A thread whose next timer is due this soon stays here: parking and claiming it again would cost more. */
const KEEP_FOR_TIMER_MS = 5_000;
/** Later timers are armed in stages: an entry keeps its thread in memory. */
const ARM_AT_MOST_MS = 3_600_000;
const PARK_BATCH = 500;
/** How soon, and how often, a parked thread that was not to be had is asked for again. */
const WANTED_PAUSE_MS = 20;
const WANTED_PAUSE_AT_MOST_MS = 5_000;
const WANTED_TRIES = 100;

/** What the worker does for a late command is not part of its workflow: an activity started behind it is in no workflow. */
const outside = new AsyncResource('PerdureWorker');

export class OwnedThreads implements ThreadPort, ThreadsOfActivities {
  readonly turns = new TurnLoop();
  readonly activities: ActivityRunner;
  readonly shares = new ThreadShares();
  readonly mail: ThreadMail;
  readonly #host: HostContext;
  readonly #commits: Batcher<CommitItem, CommitAnswer>;
  readonly #threads = new Map<number, ActiveThread>();
  /** Idle ones, longest first. */
  readonly #idle = new Map<number, ActiveThread>();
  /** Parked ones, longest unused first. */
  readonly #cache = new Map<number, ActiveThread>();
  /** Parked threads to be claimed though nothing woke them, and how often that was tried. */
  readonly #wanted = new Map<number, number>();
  #clockOffset = 0;

  constructor(host: HostContext) {
    this.#host = host;
    this.activities = new ActivityRunner(host, this);
    this.mail = new ThreadMail(host, this.#threads);
    this.#commits = new Batcher({
      main: host.lanes.commit,
      side: host.lanes.side,
      bytes: commitBytes,
      asideBytes: LARGE_ITEM_BYTES,
      send: async (lane, items) => {
        const { metrics } = host;
        const sentAt = metrics.active ? host.monotonic() : 0;
        const { answers, hints } = await commit(lane, host.schema, host.registration.workerNo, items);
        if (metrics.active) metrics.committed(items.length, host.monotonic() - sentAt);
        host.tell(hints);
        return answers;
      },
    });
  }

  get holdings(): Holdings {
    return { owned: this.#threads.size, cached: this.#cache.size, activities: this.activities.running.size };
  }

  // ---- claiming

  claim(serving: Serving, limit: number): Promise<Taken> {
    const { claims, lanes, schema, registration } = this.#host;
    const room = this.shares.roomFor(serving);
    if (room === null) return Promise.resolve({ count: 0, dueInMs: null });
    return claims.claim(async (claimNo) => {
      const { workerNo } = registration;
      const asked = [...this.#wanted];
      const wanted = asked.map(([threadNo]) => threadNo);
      this.#wanted.clear();
      try {
        const { rows, dueInMs } = await claimThreads(lanes.claim, schema, {
          workerNo,
          claimNo,
          services: this.shares.inTurn(room.services),
          limit: Math.min(limit, room.limit),
          wanted,
        });
        if (registration.workerNo !== workerNo) return { count: 0, dueInMs: null }; // claimed by who we were before
        this.adopt(rows, claimNo);
        if (asked.length > 0) this.#wantAgain(asked);
        return { count: rows.length, dueInMs, partial: room.partial };
      } catch (error) {
        for (const [threadNo, tries] of asked) this.#wanted.set(threadNo, tries);
        throw error;
      }
    });
  }

  /** A claim passes over a thread whose row somebody holds at that moment, and nothing else would wake this one. */
  #wantAgain(asked: readonly [threadNo: number, tries: number][]): void {
    for (const [threadNo, tries] of asked) {
      // Not here and not in the cache: its code is gone. Not to be had for long: it went on elsewhere, or is paused.
      if (!this.#cache.has(threadNo) || tries >= WANTED_TRIES) continue;
      this.#wanted.set(threadNo, tries + 1);
      const delayMs = Math.min(WANTED_PAUSE_MS * 2 ** tries, WANTED_PAUSE_AT_MOST_MS);
      this.#host.due.add({ dueAt: this.monotonic() + delayMs, run: () => this.#pokeClaims() });
    }
  }

  #pokeClaims(): void {
    for (const serving of this.#host.services.all) if (serving.workflows.size > 0) serving.threadClaims?.poke();
  }

  /** Takes in what this process owns since a moment ago. */
  adopt(rows: readonly ClaimedThread[], claimNo: number): void {
    const answeredAt = this.monotonic();
    for (const row of rows) {
      this.#clockOffset = row.clock_ms - answeredAt;
      this.#adopt(row, claimNo);
    }
    this.#host.metrics.claimed('workflow', rows.length);
  }

  #adopt(row: ClaimedThread, claimNo: number): void {
    const held = this.#threads.get(row.thread_no);
    if (held !== undefined) {
      if (held.epoch >= row.epoch) return; // a claim that lost its answer and was repeated
      // It was parked by a call whose answer was an error, and was woken since.
      this.#drop(held);
    }
    const served = this.#host.services.workflow(row.service_no);
    // Not served, or not any more: the claim was under way when the worker was told to stop.
    if (served === undefined || served.serving.draining) {
      void this.release([{ threadNo: row.thread_no, epoch: row.epoch }]);
      return;
    }
    const cached = this.#cache.get(row.thread_no);
    this.#cache.delete(row.thread_no);
    // A cache is valid only if its last commit is the database's.
    const usable = cached !== undefined && cached.lastCommitNo === row.last_commit_no;
    if (cached !== undefined && !usable) cached.drop();
    const thread = usable
      ? cached
      : new ActiveThread(row, claimNo, this.#infoOf(row, served), this, served.serving.seal);
    this.#threads.set(row.thread_no, thread);
    this.shares.count(thread.row.service_no, 1);
    served.serving.threads++;
    const { metrics } = this.#host;
    if (row.last_seq === null && row.hook_no === null && metrics.active)
      metrics.started(served.name, served.serving.taskQueue, row.clock_ms - row.created_ms);
    this.#animate(thread, row, claimNo, usable).catch((error) => this.failed(thread, error));
  }

  async #animate(thread: ActiveThread, row: ClaimedThread, claimNo: number, cached: boolean): Promise<void> {
    const claimedAt = this.monotonic();
    if (cached) thread.resume(row, claimNo);
    else if (row.last_seq === null) thread.begin();
    else await thread.recover(JSON.parse(row.tasks ?? '[]') as number[]);
    if (!this.holds(thread)) return;
    // Only now: a timer that is due at once finds the operation it fires.
    const passed = this.monotonic() - claimedAt;
    for (const [op, ms] of JSON.parse(row.timers ?? '[]') as [number, number][]) this.armTimer(thread, op, ms - passed);
    let pileFrom: number | null = null;
    for (const letter of JSON.parse(row.mail ?? '[]') as ClaimedMail[]) {
      const [inbox_no, kind, op, payload = null] = letter;
      if (kind === 'later') {
        pileFrom ??= inbox_no;
        thread.expectMail(op);
      } else thread.postMail({ thread_no: row.thread_no, inbox_no, kind, op, payload });
    }
    if (!cached && row.last_seq !== null) this.activities.rerunLost(thread);
    if (row.last_seq !== null) this.activities.resumeSteps(thread);
    if (thread.stage === 'idle') this.becameIdle(thread);
    if (pileFrom !== null) await this.mail.readPile(thread, pileFrom - 1);
  }

  #infoOf(row: ClaimedThread, { serving, name }: ServedWorkflow): ActiveThread['info'] {
    return {
      workflowId: row.workflow_id,
      workflowName: name,
      taskQueue: serving.taskQueue,
      namespace: this.#host.namespace,
      hookNo: row.hook_no,
      runNo: row.run_no,
      run: row.run,
      // Each thread draws its own numbers.
      seed: row.hook_no === null ? String(row.request_no) : `${row.request_no}-${row.thread_no}`,
      lineage: readLineage(row.lineage),
      createdMs: row.created_ms,
      parentWorkflowId: row.parent_workflow_id,
      originId: row.origin_id,
      trace: row.trace,
      expireS: row.expire_s,
      retry:
        row.config === null
          ? serving.tuning.retry
          : { ...defaultRetryPolicy, ...(JSON.parse(row.config) as RetryPolicy) },
    };
  }

  makeInstance(thread: ActiveThread, attempt: number, recording: Recording | null): Instance {
    const served = this.#host.services.workflow(thread.row.service_no);
    const run = served?.serving.workflows.get(served.name);
    // Taken once, so that one life of a workflow meets the same ones throughout.
    const layers = served === undefined ? null : workflowLayers(served.serving.interceptors);
    // Decoded for each instance: a function may change what it is given. Here, where what cannot be read blocks the thread
    // instead of failing the function.
    const args = decodePayload(thread.row.args, thread.seal) as unknown[];
    if (thread.row.hook_signal !== null) args.push({ signal: thread.row.hook_signal, $durable: true });
    return new Instance({
      info: { ...thread.info, attempt },
      run: (instance) =>
        this.#host.spans.within(
          () => tracedOf(thread),
          () =>
            runAs(
              instance,
              async () => {
                if (run === undefined) throw new Error(`workflow "${thread.info.workflowName}" is not served any more`);
                if (layers === null) return run(...args);
                return throughInbound({ ...layers, connection: served?.serving.connection }, args, run);
              },
              served?.serving.guard,
              served?.serving,
            ),
        ),
      // Nobody gets what a hook returns, so it may be anything.
      conclude: (outcome, info) =>
        conclude(outcome, info, (value) => (info.hookNo === null ? encodePayload(value, 'result') : null)),
      recording,
      onLateCommand: () => outside.runInAsyncScope(() => thread.lateCommand()),
    });
  }

  // ---- what a thread asks for (ThreadPort)

  get lateCommandMs(): number {
    return this.#host.tuning.lateCommandMs;
  }

  monotonic(): number {
    return this.#host.monotonic();
  }

  clock(): number {
    return this.monotonic() + this.#clockOffset;
  }

  commit(item: CommitItem, thread: ActiveThread): void {
    this.#commits.send(item, thread, thread.row.service_no);
  }

  loadHistory(threadNo: number): Promise<HistoryRow[]> {
    const { lanes, schema, registration } = this.#host;
    return loadOwnHistory(lanes.claim, schema, registration.workerNo, threadNo);
  }

  chooseEager(thread: ActiveThread): EagerChoice {
    return (taskQueue, name, op) => this.activities.chooseEager(thread, taskQueue, name, op);
  }

  startEager(thread: ActiveThread, op: number): void {
    this.activities.startEager(thread, op);
  }

  resumeStep(thread: ActiveThread, op: number): void {
    this.activities.resumeStep(thread, op);
  }

  resumeSteps(thread: ActiveThread): void {
    this.activities.resumeSteps(thread);
  }

  abortActivities(thread: ActiveThread, ops: readonly number[] | 'all'): void {
    this.activities.abort(thread, ops);
  }

  armTimer(thread: ActiveThread, op: number, ms: number): void {
    const dueAt = this.monotonic() + ms;
    thread.dueAt.set(op, dueAt);
    const { epoch } = thread;
    this.#host.due.add({
      dueAt: Math.min(dueAt, this.monotonic() + ARM_AT_MOST_MS),
      run: () => {
        if (!this.holds(thread) || thread.epoch !== epoch) return;
        const left = dueAt - this.monotonic();
        if (left > 0) this.armTimer(thread, op, left);
        else thread.fire(op);
      },
    });
  }

  trace(thread: ActiveThread, spans: readonly TraceAttributes[]): void {
    this.#host.spans.report(tracedOf(thread), spans);
  }

  beginChild(
    thread: ActiveThread,
    child: Parameters<ThreadPort['beginChild']>[1],
  ): ReturnType<ThreadPort['beginChild']> {
    return this.#host.spans.beginChild(() => tracedOf(thread), child);
  }

  becameIdle(thread: ActiveThread): void {
    thread.idleSince = this.monotonic();
    this.#idle.delete(thread.threadNo);
    if (!this.holds(thread)) return;
    this.#idle.set(thread.threadNo, thread);
    if (thread.pausing) this.pausing(thread);
  }

  /** Gives a thread up whose run is paused, when nothing of it is under way; else when it becomes idle again. */
  pausing(thread: ActiveThread): void {
    if (thread.stage !== 'idle' || thread.holdsUnstored || !this.holds(thread)) return;
    if (!this.activities.detach(thread)) return;
    thread.drop();
    this.#unown(thread);
    void this.release([{ threadNo: thread.threadNo, epoch: thread.epoch }]);
  }

  becameBusy(thread: ActiveThread): void {
    this.#idle.delete(thread.threadNo);
  }

  began({ row, info }: ActiveThread): void {
    if (info.hookNo === null) this.#eventsOf(row.service_no)?.workflow('started', info);
  }

  #eventsOf(serviceNo: number): LifecycleEvents | null {
    return this.#host.services.workflow(serviceNo)?.serving.events ?? null;
  }

  closed(thread: ActiveThread, item: CommitItem, failure: Failure | null): void {
    const { info, seal } = thread;
    if (item.closing === 'failed')
      this.#loggerOf(thread).error(
        { ...workflowFields(info), ...failureFields(failure, seal) },
        info.hookNo === null ? 'a workflow failed for good' : 'a hook failed for good',
      );
    const { spans, metrics } = this.#host;
    if (metrics.active) metrics.ended(info.workflowName, item.closing ?? 'terminated', this.clock() - info.createdMs);
    if (spans.active) {
      const why = item.closing === 'failed' ? (failure?.name ?? 'Error') : null;
      spans.ended(tracedOf(thread), { state: item.closing ?? 'terminated', why });
    }
    if (info.hookNo === null) this.#eventsOf(thread.row.service_no)?.workflow(item.closing ?? 'terminated', info);
    this.#drop(thread);
    const { closing, result } = item;
    if (info.hookNo === null && closing !== null && closing !== 'continued')
      this.#host.ended({ chain_no: thread.row.chain_no, run_no: info.runNo, state: closing, result });
  }

  attemptFailed(thread: ActiveThread, attempt: number, failure: Failure | null, retryInMs: number): void {
    const fields = { ...workflowFields(thread.info), attempt, retryInMs, ...failureFields(failure, thread.seal) };
    this.#loggerOf(thread).warn(fields, 'a workflow failed and is tried again');
  }

  refused(thread: ActiveThread): void {
    const fields = workflowFields(thread.info);
    this.#loggerOf(thread).debug(fields, 'a commit was refused; the thread is reloaded by whoever owns it');
    void this.release([thread]);
  }

  blocked(thread: ActiveThread, reason: Error): void {
    const { lanes, schema, registration } = this.#host;
    const fields = { ...workflowFields(thread.info), ...errorFields(reason) };
    const { line, words } = blockedBecause(reason);
    this.#loggerOf(thread).error(fields, line);
    this.#host.metrics.blocked(thread.info.workflowName);
    this.#drop(thread);
    untilFree(() => blockThread(lanes.side, schema, registration.workerNo, thread, words))
      .then((state) => {
        // To the others: this process has room, but not the code.
        if (state === 'ready') this.#host.tell(`q${thread.row.service_no}`, { others: true });
      })
      .catch((error) => this.#host.callFailed('block', error));
  }

  /** A stage of the thread ended with an error that is not its function's. */
  failed(thread: ActiveThread, error: unknown): void {
    if (thread.stage === 'gone' || this.#host.closed) return;
    if (isLeaseLost(error)) {
      // Dropped here too: one that was claimed while the loss is being dealt with would wait for its commit for ever.
      this.#drop(thread);
      this.#host.registration.lose(error);
    } else this.blocked(thread, error instanceof Error ? error : new Error(String(error)));
  }

  freshMail(): Promise<void> {
    return this.mail.fetch();
  }

  reclaim(thread: ActiveThread): void {
    this.want(thread.threadNo);
  }

  // ---- what activities ask for

  holds(thread: ActiveThread): boolean {
    return this.#threads.get(thread.threadNo) === thread;
  }

  settles({ threadNo, op }: { threadNo: number; op: number }): boolean {
    return this.#threads.get(threadNo)?.settles(op) ?? false;
  }

  want(threadNo: number): void {
    this.#wanted.set(threadNo, 0);
    this.#pokeClaims();
  }

  /** How many there are when each of them waits; null otherwise. */
  get atRest(): number | null {
    for (const thread of this.#threads.values()) if (!thread.quiet) return null;
    return this.#threads.size;
  }

  /** How a thread under trial stands: see suspects.ts. */
  trial(threadNo: number): Trial | null {
    const thread = this.#threads.get(threadNo);
    if (thread === undefined) return null;
    const { lastCommitNo, quiet, idleSince, hasSources } = thread;
    return { lastCommitNo, idleSince: quiet ? idleSince : null, rests: quiet && hasSources };
  }

  // ---- letting go

  of(serving: Serving): ActiveThread[] {
    return [...this.#threads.values()].filter((thread) => this.#servingOf(thread) === serving);
  }

  /** Gives threads back to whoever wants them. */
  async release(threads: readonly (ActiveThread | { threadNo: number; epoch: number })[]): Promise<void> {
    if (threads.length === 0) return;
    for (const thread of threads) if (thread instanceof ActiveThread) this.#drop(thread);
    const { lanes, schema, registration } = this.#host;
    try {
      this.#host.tell(await untilFree(() => releaseThreads(lanes.side, schema, registration.workerNo, threads)));
    } catch (error) {
      this.#host.callFailed('release', error);
    }
  }

  /** The lease is lost, or the host closes. */
  dropAll(): void {
    for (const thread of [...this.#threads.values()]) this.#drop(thread);
    for (const thread of this.#cache.values()) thread.drop();
    this.#cache.clear();
  }

  uncache(serving: Serving): void {
    for (const [threadNo, thread] of this.#cache) {
      if (this.#servingOf(thread) !== serving) continue;
      thread.drop();
      this.#cache.delete(threadNo);
    }
  }

  #drop(thread: ActiveThread): void {
    this.activities.abort(thread, 'all');
    thread.drop();
    this.#unown(thread);
  }

  #unown(thread: ActiveThread): void {
    if (!this.holds(thread)) return;
    this.#threads.delete(thread.threadNo);
    this.shares.count(thread.row.service_no, -1);
    this.#idle.delete(thread.threadNo);
    this.#servingOf(thread)?.threadFreed();
  }

  #loggerOf(thread: ActiveThread): Logger {
    return this.#servingOf(thread)?.logger ?? this.#host.logger;
  }

  #servingOf(thread: ActiveThread): Serving | undefined {
    return this.#host.services.workflow(thread.row.service_no)?.serving;
  }

  // ---- parking

  /** Parks what was quiet for long enough. */
  async sweep(): Promise<void> {
    const now = this.monotonic();
    const threads: ActiveThread[] = [];
    for (const thread of this.#idle.values()) {
      const serving = this.#servingOf(thread);
      if (now - thread.idleSince < (serving?.tuning.parkAfterMs ?? 0) || threads.length >= PARK_BATCH) break;
      if (!thread.quiet) continue;
      if (!serving?.draining && thread.nextDue < now + KEEP_FOR_TIMER_MS) {
        this.becameIdle(thread);
        continue;
      }
      if (this.activities.makeTasks(thread) || !thread.hasSources) {
        this.becameIdle(thread); // nothing would wake it
        continue;
      }
      threads.push(thread);
    }
    if (threads.length > 0) await this.#park(threads);
  }

  async #park(threads: readonly ActiveThread[]): Promise<void> {
    for (const thread of threads) {
      thread.suspend();
      this.#idle.delete(thread.threadNo);
    }
    const { lanes, schema, registration } = this.#host;
    let refusals: Map<number, 'mail' | 'fenced'>;
    try {
      refusals = await parkThreads(
        lanes.claim,
        schema,
        registration.workerNo,
        threads.map(({ threadNo, epoch, open }) => ({ threadNo, epoch, blockedOn: [...open.keys()] })),
      );
    } catch (error) {
      // A row is held by somebody's transaction, or the lease is lost: they stay ours until the next sweep.
      for (const thread of threads) thread.unsuspend();
      throw error;
    }
    for (const thread of threads) {
      if (thread.stage === 'gone') continue;
      const refusal = refusals.get(thread.threadNo);
      if (refusal === 'fenced') this.#drop(thread);
      else if (refusal === 'mail') thread.unsuspend();
      else this.#parked(thread);
    }
    if (refusals.size > 0) void this.mail.fetch();
  }

  #parked(thread: ActiveThread): void {
    for (const activity of this.activities.running.of(thread)) activity.thread = null;
    this.#unown(thread);
    this.#cache.set(thread.threadNo, thread);
    if (thread.park()) this.reclaim(thread);
    for (const [threadNo, oldest] of this.#cache) {
      if (this.#cache.size <= this.#host.tuning.maxCachedWorkflows) break;
      oldest.drop();
      this.#cache.delete(threadNo);
    }
  }

  // ---- what the database says we own

  async compare(): Promise<void> {
    const { claims, lanes, schema, registration } = this.#host;
    const before = claims.answeredBefore;
    const settled = (thread: ActiveThread) => thread.stage === 'idle' && thread.claimNo < before;
    const threads = [...this.#threads.values()].filter(settled);
    const compareActivities = this.activities.compare(before);
    const owned = await fetchOwned(lanes.claim, schema, registration.workerNo, before);

    await this.release(owned.threads.filter(({ threadNo }) => !this.#threads.has(threadNo)));
    const ours = new Set(owned.threads.map(({ threadNo }) => threadNo));
    for (const thread of threads) {
      // A commit or a parking that came in between explains it.
      if (ours.has(thread.threadNo) || !this.holds(thread) || !settled(thread)) continue;
      this.#loggerOf(thread).debug(workflowFields(thread.info), 'a thread is not ours any more');
      this.#drop(thread);
    }
    await compareActivities(owned.tasks);
  }
}

/** One trace for all threads of a run. */
function tracedOf({ info, row }: ActiveThread): TracedWorkflow {
  return { ...info, seed: String(row.request_no) };
}
