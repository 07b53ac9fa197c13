/** What one worker object brings to its process: functions on a queue, and limits. */

import { Seal } from '../codec/payload-codec.js';
import type { LifecycleEvents } from '../core/lifecycle-events.js';
import type { Logger } from '../core/logger.js';
import { type ConnectionOptions, type ConnectionsByRole, codecOf } from '../postgres/connection.js';
import type { WorkerHome } from '../workflow/context.js';
import type { Archive } from './archived-execution.js';
import type { ClaimLoop } from './claim-loop.js';
import { DeterminismGuard } from './determinism-guard.js';
import { noInterceptors, type WorkerInterceptors } from './interceptors.js';
import type { ResolvedTuning, UserFunction } from './options.js';

/** One of so many threads is reserved. */
const RESERVED_SHARE = 10;

export class Serving implements WorkerHome {
  readonly taskQueue: string;
  readonly workflows: ReadonlyMap<string, UserFunction>;
  readonly activityFunctions: Map<string, UserFunction>;
  readonly tuning: ResolvedTuning;
  readonly interceptors: Required<WorkerInterceptors>;
  readonly connection: ConnectionOptions | ConnectionsByRole | null;
  readonly logger: Logger;
  /** What keeps executions before they are pruned; false: nothing does any more; null: nothing was said. */
  readonly archive: Archive | false | null;
  /** Who is told how its workflows begin and end; null: nobody. */
  readonly events: LifecycleEvents | null;
  /** The codec of its connection. */
  readonly seal: Seal;
  /** Watches its workflows' code. */
  readonly guard: DeterminismGuard | null;
  /** Service numbers of its workflows, by name, and of its activities; set when registered. */
  workflowServices = new Map<string, number>();
  activityService = 0;
  /** Whether it takes activities: its credentials may be for the workflows of its queue only. */
  servesActivities = true;
  /** Workflow threads that this worker owns, activity attempts that run. */
  threads = 0;
  activities = 0;
  reservedActivities = 0;
  draining = false;
  threadClaims: ClaimLoop | null = null;
  taskClaims: ClaimLoop | null = null;
  readonly #ends: (() => Promise<void>)[] = [];

  constructor(options: {
    taskQueue: string;
    workflows: ReadonlyMap<string, UserFunction>;
    activities: ReadonlyMap<string, UserFunction>;
    tuning: ResolvedTuning;
    logger: Logger;
    interceptors?: Required<WorkerInterceptors>;
    connection?: ConnectionOptions | ConnectionsByRole;
    archive?: Archive | false;
    events?: LifecycleEvents | null;
  }) {
    this.taskQueue = options.taskQueue;
    this.workflows = options.workflows;
    this.activityFunctions = new Map(options.activities);
    this.tuning = options.tuning;
    this.interceptors = options.interceptors ?? noInterceptors;
    this.connection = options.connection ?? null;
    const { tuning, logger } = options;
    this.logger = logger;
    this.guard = tuning.determinism === 'off' ? null : new DeterminismGuard(tuning.determinism, logger);
    this.archive = options.archive ?? null;
    this.events = options.events ?? null;
    this.seal = new Seal(options.connection === undefined ? undefined : codecOf(options.connection));
  }

  atEnd(end: () => Promise<void>): void {
    this.#ends.push(end);
  }

  /** Ends what its workflows' code opened through it. */
  async end(): Promise<void> {
    await Promise.all(this.#ends.splice(0).map((end) => end()));
  }

  get freeThreads(): number {
    return this.draining ? 0 : this.tuning.maxConcurrentWorkflows - this.threads;
  }

  /** Room kept for workflows of which few are here: a crowd of one kind leaves it to the others. */
  get reservedThreads(): number {
    return this.workflows.size > 1 ? Math.floor(this.tuning.maxConcurrentWorkflows / RESERVED_SHARE) : 0;
  }

  get freeActivities(): number {
    return this.draining ? 0 : this.tuning.maxConcurrentActivities - this.activities - this.reservedActivities;
  }

  slotFreed(): void {
    if (this.freeActivities === 1) this.taskClaims?.poke();
  }

  threadFreed(): void {
    this.threads--;
    const free = this.freeThreads;
    if (free === 1 || free === this.reservedThreads + 1) this.threadClaims?.poke();
  }
}
