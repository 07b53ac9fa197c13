/**
 * The worker process: one per database and namespace in this process, whatever number of worker objects it serves.
 *
 * Owns: the connections, the loops that find work and keep house, hints, the order of starting and stopping.
 * Does not own: the lease (registration.ts), threads (owned-threads.ts), activities (activity-runner.ts).
 *
 * When the lease is lost everything is dropped before anything new is claimed, under a new registration.
 */

import { performance } from 'node:perf_hooks';
import { LeaseLostError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import type { Database } from '../postgres/database.js';
import { untilFree } from '../postgres/held-row.js';
import { assertMigrated, migrate } from '../postgres/migrate.js';
import { schemaName } from '../postgres/namespace.js';
import { ANYTHING, changedRuns, LOST, type Notifier, openNotifier } from '../postgres/notifications.js';
import { descend, type ResultRow } from '../postgres/protocol/executions.js';
import { fetchOwnGrants } from '../postgres/protocol/roles.js';
import { expireTasks } from '../postgres/protocol/tasks.js';
import { fetchChangedRuns } from '../postgres/protocol/visibility.js';
import { expireRuns, fetchUnserved, reap, retireWorker, takeOver, tidy } from '../postgres/protocol/workers.js';
import { SqlError } from '../postgres/sql-error.js';
import { ClaimLoop } from './claim-loop.js';
import { ClaimNumbers } from './claim-numbers.js';
import { Deadlines } from './deadlines.js';
import { DueHeap } from './due-heap.js';
import type { HostContext, HostLanes } from './host-context.js';
import { LeaseKeeper, leaseMsFor } from './lease-keeper.js';
import { errorFields } from './log-fields.js';
import { Metrics } from './metrics.js';
import type { ResolvedTuning, ResolvedWorker } from './options.js';
import { OwnedThreads } from './owned-threads.js';
import { Pruner } from './pruner.js';
import { isLeaseLost, Registration } from './registration.js';
import { keepWithin } from './scope.js';
import { Services } from './services.js';
import type { Serving } from './serving.js';
import { SpanReporter } from './span-reporter.js';
import { StartsOfProcess } from './starts-here.js';
import { watchStrayRejections } from './stray-rejections.js';
import { Suspects } from './suspects.js';
import { UnservedWatch } from './unserved-watch.js';

/** Hints of work that the process which hears them first does: tidying, deadlines of tasks and runs, descendants to end, runs to prune, suspects. */
const HOUSEKEEPING = new Set(['t', 'x', 'o', 'd', 'p', 'u']);

/** Taken before anybody puts something in its place: it is asked several times a step. */
const monotonicMs = performance.now.bind(performance);

const SWEEP_MS = 250;
const MAIL_MS = 25;
const REAP_MS = 2_500;
const TIDY_MS = 10_000;
/** Also told by a hint. */
const PRUNE_MS = 10_000;
const COMPARE_MS = 5_000;
const UNSERVED_MS = 10_000;
/** A worker that stops does not wait longer for a database that does not answer. */
const ANSWER_MS = 1_000;
/** And no longer for workflows to become quiet, however long they may take to be parked. */
const QUIET_AT_MOST_MS = 2_000;

const OPENING = { giveUpAfterMs: 30_000 };

/** Those of the first worker that it serves. */
type HostOptions = Pick<ResolvedWorker, 'connection' | 'namespace' | 'tuning' | 'logger' | 'scoped'>;

export class Host implements HostContext {
  readonly namespace: string;
  readonly schema: string;
  readonly lanes: HostLanes;
  readonly tuning: ResolvedTuning;
  readonly logger: Logger;
  readonly registration: Registration;
  readonly spans: SpanReporter;
  readonly metrics: Metrics;
  readonly services = new Services();
  readonly claims = new ClaimNumbers();
  readonly due = new DueHeap(() => this.monotonic());
  readonly #database: Database;
  readonly #notifier: Notifier;
  readonly #unsubscribe: () => void;
  readonly #threads: OwnedThreads;
  readonly #deadlines = {
    tasks: new Deadlines(this, { name: 'expire_tasks', send: expireTasks }),
    runs: new Deadlines(this, { name: 'expire_runs', send: expireRuns }),
  };
  readonly #pruner = new Pruner(this);
  readonly #suspects: Suspects;
  readonly #unserved = new UnservedWatch();
  #deployed = false;
  readonly #scoped: boolean;
  readonly #keeper: LeaseKeeper;
  readonly #timers: NodeJS.Timeout[] = [];
  #heard = false;
  #skippedMs = 0;
  #closed = false;
  #descending = false;

  private constructor(database: Database, { connection, namespace, tuning, logger, scoped }: HostOptions) {
    this.namespace = namespace;
    this.schema = schemaName(namespace);
    this.tuning = tuning;
    this.logger = logger;
    this.spans = new SpanReporter(this.logger);
    this.#database = database;
    this.#scoped = scoped;
    const repeated = () => this.tell(LOST);
    this.lanes = {
      commit: database.lane('commit', repeated),
      side: database.lane('side', repeated),
      claim: database.lane('claim'),
      task: database.lane('task', repeated),
      lease: database.lane('lease', repeated),
    };
    this.#keeper = new LeaseKeeper(this, connection, () => this.#threads.activities.running);
    this.registration = new Registration({
      lane: this.lanes.lease,
      schema: this.schema,
      leaseMs: leaseMsFor(database.kind, tuning),
      keeper: this.#keeper,
      monotonic: monotonicMs, // a lease is of the real time
      services: () => this.services.list(),
      registered: (services, numbers) => this.services.number(services, numbers),
      lost: () => this.#dropAll(),
      back: () => this.#lookEverywhere(),
      failed: (error) => this.callFailed('register_worker', error),
    });
    this.metrics = new Metrics(namespace, () => this.#threads.holdings);
    this.#threads = new OwnedThreads(this);
    this.#suspects = new Suspects({
      host: this,
      trial: (threadNo) => this.#threads.trial(threadNo),
      want: (threadNo) => this.#threads.want(threadNo),
    });
    this.#notifier = openNotifier(database, this.schema, { remote: tuning.notifications, logger: this.logger });
    const unsubscribe = this.#notifier.subscribe((hint) => this.#hear(hint));
    const startsHere = new StartsOfProcess(this, (rows, claimNo) => this.#threads.adopt(rows, claimNo));
    this.#notifier.startsHere = startsHere;
    this.#unsubscribe = () => {
      unsubscribe();
      if (this.#notifier.startsHere === startsHere) this.#notifier.startsHere = null;
    };
    watchStrayRejections(this.logger);
  }

  /** Makes or upgrades the schema, unless its credentials are for work only. Takes over the caller's use of the database. */
  static async open(database: Database, options: HostOptions): Promise<Host> {
    let deployed = false;
    try {
      if (options.scoped) await assertMigrated(database, options.namespace, OPENING);
      else deployed = await migrate(database, options.namespace, OPENING);
    } catch (error) {
      await database.release();
      throw error;
    }
    const host = new Host(database, options);
    host.#deployed = deployed;
    // Whoever holds an embedded database is alone: what earlier processes left behind is free at once.
    if (database.kind === 'pglite') await takeOver(host.lanes.lease, host.schema);
    return host;
  }

  get kind(): Database['kind'] {
    return this.#database.kind;
  }

  readonly transaction: HostContext['transaction'] = (options, job) => this.#database.transaction(options, job);

  get closed(): boolean {
    return this.#closed;
  }

  monotonic(): number {
    return monotonicMs() + this.#skippedMs;
  }

  /** Moves the clock by which timers are due, behind that of the database: for tests in virtual time. */
  skip(ms: number): void {
    this.#skippedMs += ms;
    this.due.look();
    this.#lookEverywhere();
  }

  /** How many threads it owns when nothing is under way in it; null when something is. */
  get atRest(): number | null {
    const busy = [...this.services.all].some(
      ({ activities, reservedActivities }) => activities + reservedActivities > 0,
    );
    return busy ? null : this.#threads.atRest;
  }

  listening(): boolean {
    return this.#heard;
  }

  ended(ending: ResultRow): void {
    this.#notifier.ended(ending);
  }

  /** Whether opening it made or upgraded the schema; told once. */
  takeDeployed(): boolean {
    const deployed = this.#deployed;
    this.#deployed = false;
    return deployed;
  }

  // ---- serving

  /** Begins to serve the functions of a worker object. */
  async serve(serving: Serving): Promise<void> {
    if (this.#scoped) keepWithin(await fetchOwnGrants(this.lanes.side, this.schema, OPENING), serving);
    this.services.add(serving);
    await this.registration.register();
    if (serving.archive !== null) await this.#pruner.setArchive(serving);
    if (this.#timers.length === 0) this.#startLoops();
    const listening = () => this.#heard;
    serving.threadClaims = new ClaimLoop({
      take: (limit) => this.#threads.claim(serving, limit),
      capacity: () => this.#threads.shares.roomFor(serving)?.limit ?? 0,
      listening,
      failed: (error) => this.callFailed('claim', error),
    });
    serving.taskClaims = new ClaimLoop({
      take: (limit) => this.#threads.activities.claim(serving, limit),
      // Half of what is free: eager activities find slots while the claim is under way.
      capacity: () => (serving.servesActivities ? Math.ceil(serving.freeActivities / 2) : 0),
      listening,
      failed: (error) => this.callFailed('claim_tasks', error),
    });
    serving.threadClaims.poke();
    serving.taskClaims.poke();
    serving.logger.info(this.#fieldsOf(serving), 'a worker has started');
  }

  /** Stops serving in order: takes nothing new, lets activities finish, parks or gives back what is left. */
  async leave(serving: Serving): Promise<void> {
    if (!this.services.all.has(serving)) return;
    serving.draining = true;
    const deadline = this.monotonic() + serving.tuning.shutdownGraceMs;
    // A database that does not answer holds nobody up: what is ours is free when the lease is over.
    await atMost(ANSWER_MS, Promise.all([serving.threadClaims?.stop(), serving.taskClaims?.stop()]));
    await this.#until(() => serving.activities === 0, deadline);
    await atMost(ANSWER_MS, this.#threads.activities.leave(serving));
    // Late commands may still come: a thread is parked after its quiet time, as always.
    const quiet = this.monotonic() + Math.min(2 * serving.tuning.parkAfterMs, QUIET_AT_MOST_MS);
    await this.#until(() => this.#threads.of(serving).length === 0, Math.max(deadline, quiet));
    await atMost(ANSWER_MS, this.#threads.release(this.#threads.of(serving)));
    this.#threads.uncache(serving);
    await atMost(ANSWER_MS, serving.end());
    this.services.remove(serving);
    const { namespace, taskQueue, workerNo } = this.#fieldsOf(serving);
    serving.logger.info({ namespace, taskQueue, workerNo }, 'a worker has stopped');
  }

  #fieldsOf({ taskQueue, workflows, activityFunctions }: Serving) {
    return {
      namespace: this.namespace,
      taskQueue,
      workerNo: this.registration.workerNo,
      workflows: [...workflows.keys()],
      activities: [...activityFunctions.keys()],
    };
  }

  /** The last worker object has gone: gives back the registration and the connections. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.due.close();
    this.#unsubscribe();
    this.#threads.dropAll();
    this.#keeper.close();
    this.metrics.close();
    const retired = retireWorker(this.lanes.lease, this.schema, this.registration.workerNo);
    await atMost(ANSWER_MS, retired);
    await Promise.all([this.#notifier.close(), ...Object.values(this.lanes).map((lane) => lane.close())]);
    await this.#database.release();
  }

  /** As if its process had died: nothing is given back, sent or heard any more. For crash tests. */
  abandon(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.due.close();
    this.#keeper.close();
    this.#unsubscribe();
    for (const { threadClaims, taskClaims } of this.services.all) {
      void threadClaims?.stop();
      void taskClaims?.stop();
    }
    this.#threads.activities.abandonAll(new LeaseLostError('the process has died'));
    this.#threads.dropAll();
    void this.#notifier.close();
  }

  async #until(done: () => boolean, deadline: number): Promise<void> {
    while (!done() && this.monotonic() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  #startLoops(): void {
    const every = (ms: number, call: string, run: () => unknown) => {
      let busy = false;
      const round = async () => {
        if (busy || this.#closed) return;
        busy = true;
        try {
          await run();
        } catch (error) {
          this.callFailed(call, error);
        } finally {
          busy = false;
        }
      };
      this.#timers.push(setInterval(() => void round(), ms));
    };
    every(Math.max(100, this.tuning.leaseMs / 4), 'renew_lease', () => this.registration.renew());
    every(REAP_MS, 'reap', () => this.#reap());
    every(TIDY_MS, 'tidy', () => this.#tidy());
    every(PRUNE_MS, 'prune', () => this.#pruner.look());
    every(UNSERVED_MS, 'unserved', () => this.#lookForUnserved());
    every(COMPARE_MS, 'owned', () => this.#threads.compare());
    every(SWEEP_MS, 'park', () => this.#threads.sweep());
    every(MAIL_MS, 'mail', () => this.#threads.mail.poll());
  }

  async #reap(): Promise<void> {
    // Behind a stall, or a pause: it declares itself dead no sooner than others do.
    if (!this.registration.alive) await this.registration.renew();
    const { hints, reaped } = await reap(this.lanes.lease, this.schema, this.registration.workerNo);
    this.tell(hints);
    const { namespace } = this;
    for (const { workerNo, description } of reaped)
      this.logger.warn({ namespace, workerNo, description }, 'a worker is dead: what it had goes to others');
    this.metrics.reaped(reaped.length);
  }

  async #lookForUnserved(): Promise<void> {
    this.metrics.watch();
    const found = await fetchUnserved(this.lanes.side, this.schema, this.registration.workerNo);
    const ofQueue = (taskQueue: string) => [...this.services.all].find((serving) => serving.taskQueue === taskQueue);
    this.#unserved.tell(found, (taskQueue) => ofQueue(taskQueue)?.logger ?? this.logger);
  }

  async #tidy(): Promise<void> {
    this.tell(await tidy(this.lanes.side, this.schema));
  }

  /** Ends the descendants of terminated runs, generation by generation. */
  async #descend(): Promise<void> {
    if (this.#descending) return;
    this.#descending = true;
    try {
      for (let worked = true; worked && !this.#closed; ) {
        const step = await untilFree(() => descend(this.lanes.side, this.schema));
        this.tell(step.hints);
        worked = step.worked;
      }
    } finally {
      this.#descending = false;
    }
  }

  // ---- faults

  callFailed(call: string, error: unknown): void {
    if (this.#closed) return;
    if (isLeaseLost(error)) this.registration.lose(error);
    else if (error instanceof SqlError && error.code === '55P03')
      this.logger.debug({ call }, 'a row is held; trying again');
    else this.logger.error({ call, ...errorFields(error) }, 'a call of the engine failed');
  }

  #dropAll(): void {
    const { workerNo } = this.registration;
    const { namespace } = this;
    this.logger.warn({ namespace, workerNo }, 'the lease was lost; dropping everything and registering anew');
    this.metrics.leaseLost();
    this.#threads.activities.abandonAll(new LeaseLostError('the worker lost its lease'));
    this.#threads.dropAll();
  }

  // ---- hints

  tell(hints: string | null, { others } = { others: false }): void {
    const { hints: told, runs } = changedRuns(hints);
    if (runs.length > 0) void this.#tellChanges(runs);
    for (const hint of told) {
      const own = hint === `w${this.registration.workerNo}`;
      const localOnly =
        !others &&
        (own || HOUSEKEEPING.has(hint) || (hint.startsWith('q') && this.services.hasRoom(Number(hint.slice(1)))));
      this.#notifier.notify(hint, { localOnly });
    }
  }

  /** Tells of runs that a call of this process ended: the publisher of the worker that serves them here, else the first there is. */
  async #tellChanges(runs: readonly number[]): Promise<void> {
    const all = [...this.services.all];
    const first = all.find(({ events }) => events !== null)?.events;
    if (first == null) return;
    try {
      for (const run of await fetchChangedRuns(this.lanes.side, this.schema, runs)) {
        const served = this.services.ofWorkflow(run.taskQueue, run.workflowName);
        (served === null ? first : served.serving.events)?.workflow(run.verb, run);
      }
    } catch (error) {
      this.callFailed('changed_runs', error);
    }
  }

  #hear(hint: string): void {
    if (hint === ANYTHING) {
      this.#heard = true;
      this.#lookEverywhere();
    } else if (hint === LOST) {
      this.#lookEverywhere();
      for (const duty of HOUSEKEEPING) this.#keepHouse(duty);
    } else if (hint.startsWith('q')) {
      this.services.poke(Number(hint.slice(1)));
    } else if (hint === `w${this.registration.workerNo}`) {
      void this.#threads.mail.fetch();
    } else {
      this.#keepHouse(hint);
    }
  }

  #keepHouse(hint: string): void {
    if (hint === 'x') {
      this.#deadlines.tasks.look();
    } else if (hint === 'o') {
      this.#deadlines.runs.look();
    } else if (hint === 'd') {
      this.#descend().catch((error) => this.callFailed('descend', error));
    } else if (hint === 'p') {
      this.#pruner.look();
    } else if (hint === 'u') {
      this.#suspects.look().catch((error) => this.callFailed('try_suspect', error));
    } else if (hint === 't') {
      this.#tidy().catch((error) => this.callFailed('tidy', error));
    }
  }

  #lookEverywhere(): void {
    this.services.poke();
    void this.#threads.mail.fetch();
  }
}

/** Waits for `promise`, but no longer than `ms`; how it ends does not matter. */
async function atMost(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise.catch(() => {}), late]);
  clearTimeout(timer);
}
