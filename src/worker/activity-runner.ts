/**
 * Runs activities: eagerly for the threads of this process, and as tasks for any thread.
 *
 * Owns: slots and attempts. Does not own: the threads (owned-threads.ts), what an attempt is (activity/attempt.ts), task rows
 * (task-rows.ts), when a function that came with the call runs (bound-activities.ts).
 *
 * Invariants:
 * 1. No activity starts before its scheduling is durable (it is started by the thread's settling, or has a task row).
 * 2. Nothing starts while the lease may be over.
 * 3. The outcome of an eager attempt goes to the thread that is here; once the thread is elsewhere it is dropped, unless
 *    the attempt has a task row of its own.
 * 4. Where somebody else may end the attempt (a limit the database watches, a task token given out), its outcome goes by
 *    way of the row: whoever takes that away first wins.
 */

import { type AttemptOutcome, runAttempt } from '../activity/attempt.js';
import { throughActivityInbound } from '../activity/interceptors.js';
import type { AttemptLimits } from '../activity/time-limits.js';
import { type ActivityInput, decodeActivityInput } from '../codec/entry-text.js';
import { encodeFailure } from '../codec/failure-text.js';
import { decodePayload } from '../codec/payload.js';
import { ActivityLostError } from '../core/errors.js';
import { failureFromError } from '../core/failure.js';
import type { CommandSpec } from '../core/history.js';
import { readLineage } from '../core/lineage.js';
import { retryDelayMs } from '../core/retry-policy.js';
import { type ClaimedTask, claimTasks } from '../postgres/protocol/tasks.js';
import type { ActiveThread } from './active-thread.js';
import { BoundActivities, type BoundAttempt, FIRST_ATTEMPT, type KnownAttempt, notFound } from './bound-activities.js';
import { Heartbeats } from './heartbeats.js';
import type { HostContext } from './host-context.js';
import { activityLayers } from './interceptors.js';
import { errorFields, failureFields } from './log-fields.js';
import type { UserFunction } from './options.js';
import { type AttemptFacts, RunningActivities, RunningActivity, type RunsAttempts } from './running-activities.js';
import type { Serving } from './serving.js';
import { SlotReservations } from './slots.js';
import { type Finish, notAwaited, TaskRows, type ThreadsOfTasks } from './task-rows.js';
import { inTransaction } from './transactional-attempts.js';

/** How often an activity may be lost with its process before it fails for good. */
const MAX_LOSSES = 5;
/** A task that cannot run this moment is offered again after this. */
const RELEASED_FOR_MS = 200;
/** One whose payloads this worker's codec cannot read is offered again after this. */
const UNREADABLE_FOR_MS = 5_000;

/** What the runner needs of the threads. */
export interface ThreadsOfActivities extends ThreadsOfTasks {
  /** Whether this process owns the thread. */
  holds(thread: ActiveThread): boolean;
}

type Limits = Pick<CommandSpec['activity'], 'startToCloseMs' | 'limits'>;

export class ActivityRunner implements RunsAttempts {
  readonly running = new RunningActivities();
  readonly #host: HostContext;
  readonly #threads: ThreadsOfActivities;
  readonly #slots = new SlotReservations();
  readonly #rows: TaskRows;
  readonly #bound: BoundActivities;
  readonly #heartbeats: Heartbeats;

  constructor(host: HostContext, threads: ThreadsOfActivities) {
    this.#host = host;
    this.#threads = threads;
    this.#rows = new TaskRows(host, threads, this.running);
    this.#heartbeats = new Heartbeats(host, this.running);
    this.#bound = new BoundActivities({
      host,
      running: this.running,
      rows: this.#rows,
      slots: this.#slots,
      holds: (thread) => threads.holds(thread),
      begin: (attempt) => this.#runBound(attempt),
    });
  }

  // ---- eager activities

  /** Reserves a slot when the activity can run here. Asked before the commit that schedules it. */
  chooseEager(thread: ActiveThread, taskQueue: string, name: string, op: number): boolean {
    const { services } = this.#host;
    if (services.activity(thread.info, taskQueue, name) === null) return false;
    return this.#slots.reserve(thread.threadNo, op, services.activityServings(taskQueue));
  }

  startEager(thread: ActiveThread, op: number): void {
    const operation = thread.open.get(op);
    if (operation?.kind === 'activity' && operation.spec.bound) {
      this.#bound.start(thread, op);
      return;
    }
    const serving = this.#slots.take(thread.threadNo, op);
    if (serving === null || operation?.kind !== 'activity') return;
    const { spec, name } = operation;
    const run = this.#host.services.activity(thread.info, spec.taskQueue, name);
    if (run === null || !this.#host.registration.alive) {
      this.#rows.make(thread, op, { attempt: 1, delayMs: 0, lastFailure: null });
      return;
    }
    this.#run(this.#factsOf(thread, op, name, spec, serving, FIRST_ATTEMPT, false), run);
  }

  #runBound({ thread, op, name, spec, serving, run, known }: BoundAttempt): void {
    const { losses, task } = known;
    if (losses >= MAX_LOSSES && task !== null)
      this.#giveUpLost({ threadNo: thread.threadNo, op }, name, losses, task.epoch);
    else this.#run(this.#factsOf(thread, op, name, spec, serving, known, true), run);
  }

  /** Of a call in the process of its workflow. */
  #factsOf(
    thread: ActiveThread,
    op: number,
    name: string,
    spec: CommandSpec['activity'],
    serving: Serving,
    { attempt, task, details, closeInMs }: KnownAttempt,
    bound: boolean,
  ): AttemptFacts {
    const { info } = thread;
    const leftMs = closeInMs === undefined ? (spec.limits?.scheduleToCloseMs ?? null) : closeInMs;
    return {
      threadNo: thread.threadNo,
      op,
      serving,
      name,
      retry: spec.retry,
      attempt,
      requestNo: thread.row.request_no,
      lineage: info.lineage ?? null,
      thread,
      task,
      bound,
      transactional: spec.transactional === true,
      limited: isLimited(spec),
      closeAt: this.#closeAt(leftMs),
      arguments: JSON.parse(spec.args) as unknown[],
      headers: spec.headers === null ? null : (decodePayload(spec.headers) as Record<string, unknown>),
      taskQueue: spec.taskQueue,
      workflowId: info.workflowId,
      workflowName: info.workflowName,
      limits: attemptLimits(spec, leftMs),
      heartbeatDetails: decodePayload(details, thread.seal),
      trace: info.trace,
    };
  }

  /** A bound activity's retry is due, or somebody changed its row. */
  resumeStep(thread: ActiveThread, op: number): void {
    this.#bound.resume(thread, op);
  }

  /** The thread's function is alive, perhaps anew: its bound activities go on. */
  resumeSteps(thread: ActiveThread): void {
    this.#bound.resumeAll(thread);
  }

  /**
   * What a recovered thread waits for and nobody does: activities that were eager in a process that is gone (open, no
   * task row, no mail) run again, as tasks.
   */
  rerunLost(thread: ActiveThread): void {
    let mailed: ReadonlySet<number> | null = null;
    for (const [op, operation] of thread.open) {
      if (operation.kind !== 'activity' || operation.spec.bound) continue;
      if (operation.hasTask) continue;
      mailed ??= thread.opsWithMail;
      if (mailed.has(op)) continue;
      // As a task, which counts its losses: it may be what ended the process.
      this.#rows.make(thread, op, { attempt: 1, delayMs: 0, lastFailure: null });
    }
  }

  /** Eager activities that run for long become tasks, so that their thread can be parked. @returns whether there were any. */
  makeTasks(thread: ActiveThread): boolean {
    const eager = this.running.of(thread).filter((activity) => activity.task === null);
    for (const activity of eager) if (!activity.is.bound) this.makeRow(activity);
    return eager.length > 0;
  }

  /**
   * What runs for a thread goes on without it: its outcome goes by way of a row, bound activities included.
   * @returns false while rows are being made: ask again when the thread is idle.
   */
  detach(thread: ActiveThread): boolean {
    const running = this.running.of(thread);
    const eager = running.filter((activity) => activity.task === null);
    for (const activity of eager) this.makeRow(activity);
    if (eager.length > 0) return false;
    for (const activity of running) activity.thread = null;
    return true;
  }

  /** The workflow does not wait for these any more. */
  abort(thread: ActiveThread, ops: readonly number[] | 'all'): void {
    for (const op of ops === 'all' ? thread.open.keys() : ops) {
      this.#slots.take(thread.threadNo, op);
      const activity = this.running.get(thread.threadNo, op);
      if (activity !== undefined && (activity.thread === thread || activity.thread === null)) {
        this.running.abandon(activity, notAwaited());
      }
    }
  }

  /** The lease is lost: whoever has the threads and tasks now runs them again. */
  abandonAll(reason: Error): void {
    for (const activity of this.running.all()) {
      this.running.abandon(activity, reason);
      this.running.remove(activity);
    }
  }

  /** The worker stops: its functions are told; what did not end runs again elsewhere. */
  async leave(serving: Serving): Promise<void> {
    for (const activity of this.running.all()) {
      if (activity.serving !== serving) continue;
      const { thread, op, task, unsentDetails: details } = activity;
      const { attempt, bound } = activity.is;
      this.running.abandon(activity, new Error('the worker stops'));
      this.running.remove(activity);
      if (task !== null) {
        const release = { kind: 'release', payload: null, delayMs: 0, details: serving.seal.seal(details) } as const;
        await this.#rows.finish(activity, release, task.epoch);
      } else if (thread !== null && !bound) {
        // As a task of its own, so that its thread can be parked.
        this.#rows.make(thread, op, { attempt, delayMs: 0, lastFailure: null, details });
      }
    }
  }

  // ---- tasks

  /** Takes due tasks of a worker's queue. */
  claim(serving: Serving, limit: number): Promise<{ count: number; dueInMs: number | null }> {
    const { claims, lanes, schema, registration } = this.#host;
    return claims.claim(async (claimNo) => {
      const { workerNo } = registration;
      const giveUp = this.#slots.hold(serving, limit);
      try {
        const { rows, dueInMs } = await claimTasks(lanes.task, schema, {
          workerNo,
          claimNo,
          services: [serving.activityService],
          limit,
        });
        if (registration.workerNo !== workerNo) return { count: 0, dueInMs: null };
        for (const row of rows) this.#startTask(serving, row, claimNo);
        this.#host.metrics.claimed('activity', rows.length);
        return { count: rows.length, dueInMs };
      } finally {
        giveUp();
      }
    });
  }

  #startTask(serving: Serving, row: ClaimedTask, claimNo: number): void {
    if (this.running.get(row.thread_no, row.op) !== undefined) return; // a repeated claim
    const task = { threadNo: row.thread_no, op: row.op };
    if (row.losses >= MAX_LOSSES) {
      this.#giveUpLost(task, row.name, row.losses, row.epoch);
      return;
    }
    if (!this.#host.registration.alive || serving.draining) {
      // A claim that was under way when the worker was told to stop brings what others may take at once.
      const delayMs = serving.draining ? 0 : RELEASED_FOR_MS;
      void this.#rows.finish(task, { kind: 'release', payload: null, delayMs }, row.epoch);
      return;
    }
    const workflow = { taskQueue: row.workflow_queue, workflowName: row.workflow_name };
    const run = this.#host.services.activity(workflow, serving.taskQueue, row.name) ?? notFound(row.name);
    let input: ActivityInput;
    let heartbeatDetails: unknown;
    try {
      input = decodeActivityInput(row.input, serving.seal);
      heartbeatDetails = decodePayload(row.details, serving.seal);
    } catch (error) {
      this.#unreadable(task, row, error, row.epoch);
      return;
    }
    this.#run(
      {
        ...task,
        serving,
        name: row.name,
        retry: input.retry,
        attempt: row.attempt,
        requestNo: row.request_no,
        lineage: readLineage(row.lineage),
        thread: null,
        task: { epoch: row.epoch, claimNo },
        bound: false,
        transactional: input.transactional === true,
        limited: isLimited(input),
        closeAt: this.#closeAt(row.close_in_ms),
        arguments: input.args,
        headers: input.headers ?? null,
        taskQueue: serving.taskQueue,
        workflowId: row.workflow_id,
        workflowName: row.workflow_name,
        limits: attemptLimits(input, row.close_in_ms),
        heartbeatDetails,
        trace: row.trace,
      },
      run,
    );
  }

  #giveUpLost(task: { threadNo: number; op: number }, name: string, losses: number, epoch: number): void {
    const error = new ActivityLostError(`activity "${name}" was lost with its process ${losses} times`);
    this.#host.logger.warn(
      { activityName: name, threadNo: task.threadNo, losses },
      'an activity was lost with its process too often, and failed for good',
    );
    const payload = JSON.stringify(failureFromError(error)); // holds nothing of the user's
    void this.#rows.finish(task, { kind: 'fail', payload, delayMs: 0 }, epoch);
  }

  // ---- attempts

  #run(facts: AttemptFacts, run: UserFunction): void {
    const { spans, metrics } = this.#host;
    const activity = new RunningActivity(facts, run, this);
    this.running.add(activity);
    const layers = activityLayers(facts.serving.interceptors);
    if (layers !== null) activity.run = throughActivityInbound(layers, facts.name, run);
    if (metrics.active) activity.begunAt = this.#host.monotonic();
    if (spans.active) {
      activity.span = spans.beginAttempt(facts.name, facts.attempt, { ...facts, seed: activity.seed });
      if (activity.span !== null) activity.run = activity.span.within(activity.run);
    }
    if (facts.transactional) {
      const startToCloseMs = facts.limits?.startToCloseMs ?? null;
      const { run: inside, transaction } = inTransaction(this.#host, activity, activity.run, startToCloseMs);
      activity.run = inside;
      activity.transaction = transaction;
    }
    runAttempt(activity);
  }

  attemptEnded(activity: RunningActivity, outcome: AttemptOutcome): void {
    const { metrics } = this.#host;
    activity.over = true;
    activity.span?.end(outcome.kind, outcome.kind === 'failed' ? outcome.failure.name : undefined);
    if (metrics.active)
      metrics.attempted(activity.activityName, outcome.kind, this.#host.monotonic() - activity.begunAt);
    if (needsRow(activity, outcome)) this.makeRow(activity);
    if (activity.makingRow) activity.whenRowSettled = () => this.#settle(activity, outcome);
    else this.#settle(activity, outcome);
  }

  #settle(activity: RunningActivity, outcome: AttemptOutcome): void {
    this.running.remove(activity);
    if (!activity.abandoned) this.#ended(activity, outcome);
  }

  get namespace(): string {
    return this.#host.namespace;
  }

  beat(activity: RunningActivity): void {
    if (activity.task === null) this.makeRow(activity);
    else this.#heartbeats.note(activity);
  }

  /** An eager attempt gets a task row, in this worker's name. */
  makeRow(activity: RunningActivity): void {
    const { thread, op, task, makingRow, abandoned } = activity;
    const { attempt } = activity.is;
    if (thread === null || task !== null || makingRow || abandoned) return;
    this.#rows.make(thread, op, { attempt, delayMs: 0, lastFailure: null, running: activity });
  }

  /** An attempt ended: its outcome goes to the thread when that is here, else into its inbox. */
  #ended(activity: RunningActivity, outcome: AttemptOutcome): void {
    const { thread } = activity;
    if (activity.transactionState === 'committed') return; // the thread has mail
    const { transactional, limited } = activity.is;
    const mayBeRivalled = activity.tokenGiven || transactional || (limited && activity.task !== null);
    if (thread === null || mayBeRivalled || !this.#threads.holds(thread)) {
      this.#record(activity, outcome);
    } else if (thread.stage !== 'parking' && thread.stage !== 'parked') {
      this.#hand(activity, thread, outcome);
    } else {
      thread.afterSuspension(
        activity.op,
        () => this.#record(activity, outcome),
        () => this.#hand(activity, thread, outcome),
      );
    }
  }

  #hand(activity: RunningActivity, thread: ActiveThread, outcome: AttemptOutcome): void {
    const { op } = activity;
    if (outcome.kind === 'done') {
      const value = outcome.text === null ? undefined : thread.seal.openParsed(outcome.text, JSON.parse(outcome.text));
      thread.post({ event: { kind: 'done', op, value, text: outcome.text }, inboxNo: null });
      return;
    }
    const delayMs = outcome.kind === 'failed' ? this.#retryInMs(activity, outcome) : null;
    if (outcome.kind === 'failed' && (delayMs === null || activity.task === null))
      this.#tell(activity, outcome, delayMs);
    if (outcome.kind === 'failed' && delayMs === null) {
      thread.post({ event: { kind: 'fail', op, failure: outcome.failure }, inboxNo: null });
    } else if (outcome.kind === 'outside' || delayMs === null || activity.task !== null) {
      this.#record(activity, outcome);
    } else {
      const { is, unsentDetails: details } = activity;
      this.#rows.make(thread, op, { attempt: is.attempt + 1, delayMs, lastFailure: outcome.failure, details });
    }
  }

  /** Into the task row, and from there into the inbox. Without a row its thread went elsewhere, and runs it again there. */
  #record(activity: RunningActivity, outcome: AttemptOutcome): void {
    const { task, thread, op, is } = activity;
    if (task === null) return;
    let finish: Finish;
    try {
      finish = this.#finishOf(activity, outcome);
    } catch (error) {
      this.#unreadable(activity, is, error, task.epoch);
      return;
    }
    const finished = this.#rows.finish(activity, finish, task.epoch);
    if (!is.bound || thread === null || finish.kind === 'done' || finish.kind === 'fail') return;
    const rests = finish.kind === 'retry' ? finish.delayMs : null;
    void finished.then(() => {
      if (!this.#threads.holds(thread)) return;
      if (finish.kind === 'release') this.#rows.retakes(thread, op, finish.delayMs);
      else this.#rows.rests(thread, op, rests);
    });
  }

  /** @throws {PayloadCodecError} when the codec fails. */
  #finishOf(activity: RunningActivity, outcome: AttemptOutcome): Finish {
    const { seal } = activity.serving;
    if (outcome.kind === 'done') return { kind: 'done', payload: seal.seal(outcome.text), delayMs: 0 };
    const details = seal.seal(activity.unsentDetails);
    if (activity.transactionState === 'interrupted') {
      const unreadable = outcome.kind === 'failed' && outcome.failure.name === 'PayloadCodecError';
      return { kind: 'release', payload: null, delayMs: unreadable ? UNREADABLE_FOR_MS : RELEASED_FOR_MS, details };
    }
    if (outcome.kind === 'outside') return { kind: 'outside', payload: null, delayMs: 0, details };
    const delayMs = this.#retryInMs(activity, outcome);
    this.#tell(activity, outcome, delayMs);
    const payload = encodeFailure(outcome.failure, seal);
    return { kind: delayMs === null ? 'fail' : 'retry', payload, delayMs: delayMs ?? 0, details };
  }

  /**
   * The codec of this worker cannot read a task, or not write its outcome. No attempt is used up: the task is offered
   * again, to workers with another key or to this one, until the right key is there, and says why in `last_failure`.
   */
  #unreadable(task: { threadNo: number; op: number }, { name }: { name: string }, error: unknown, epoch: number): void {
    const fields = { activityName: name, ...errorFields(error) };
    this.#host.logger.error(fields, 'the payloads of an activity task cannot be read or written');
    const payload = JSON.stringify(failureFromError(error)); // a PayloadCodecError holds no content
    void this.#rows.finish(task, { kind: 'release', payload, delayMs: UNREADABLE_FOR_MS }, epoch);
  }

  #tell(
    { is: { serving, name, attempt, workflowId, workflowName } }: RunningActivity,
    { failure }: Extract<AttemptOutcome, { kind: 'failed' }>,
    retryInMs: number | null,
  ): void {
    const fields = { activityName: name, attempt, workflowId, workflowName, taskQueue: serving.taskQueue };
    const error = failureFields(failure, serving.seal);
    if (retryInMs === null) serving.logger.warn({ ...fields, ...error }, 'an activity failed for good');
    else serving.logger.info({ ...fields, retryInMs, ...error }, 'an activity failed and is tried again');
  }

  /** When a failed attempt is repeated; null when it is final. */
  #retryInMs(activity: RunningActivity, outcome: Extract<AttemptOutcome, { kind: 'failed' }>): number | null {
    const { attempt, retry, closeAt } = activity.is;
    if (!outcome.retryable || attempt > retry.maximumAttempts) return null;
    const delayMs = outcome.nextRetryMs ?? retryDelayMs({ ...retry, throwOnError: true }, attempt);
    return this.#host.monotonic() + delayMs >= closeAt ? null : delayMs;
  }

  #closeAt(closeInMs: number | null): number {
    return closeInMs === null ? Infinity : this.#host.monotonic() + closeInMs;
  }

  // ---- what the database says we own

  /** Begins a comparison. @returns what ends it, with what the database says. */
  compare(claimsBefore: number): ReturnType<TaskRows['compare']> {
    return this.#rows.compare(claimsBefore);
  }
}

function needsRow({ tokenGiven, task, thread }: RunningActivity, outcome: AttemptOutcome): boolean {
  return (tokenGiven || outcome.kind === 'outside') && task === null && thread !== null;
}

function isLimited({ startToCloseMs, limits }: Limits): boolean {
  return startToCloseMs !== null || limits !== undefined;
}

function attemptLimits({ startToCloseMs, limits }: Limits, closeInMs: number | null): AttemptLimits | null {
  if (startToCloseMs === null && limits === undefined) return null;
  const { scheduleToCloseMs = null, heartbeatMs = null } = limits ?? {};
  return { startToCloseMs, scheduleToCloseMs, heartbeatMs, closeInMs };
}
