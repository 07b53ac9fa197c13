import { checkTaskQueue } from '../core/identifier.js';
import type { EventsConfig } from '../core/lifecycle-events.js';
import type { Logger } from '../core/logger.js';
import { isReadonly, providerOf, shortForm } from '../postgres/connection.js';
import type { WorkerCredentials } from '../postgres/credentials.js';
import { ActivityPools } from './activity-pools.js';
import { serve } from './hosts.js';
import type { WorkerInterceptors } from './interceptors.js';
import {
  functionsOf,
  type ResolvedWorker,
  resolveTuning,
  resolveWorkerOptions,
  type UserFunction,
  type UserFunctions,
  type WorkerOptions,
  type WorkerTuning,
} from './options.js';
import { Serving } from './serving.js';
import { watchSignals } from './shutdown-signals.js';
import { watchCalls } from './watched-calls.js';

const running = new Set<Worker>();
const pools = new ActivityPools<Worker>();

/**
 * Runs workflows and activities of a task queue.
 *
 * Creating one connects, makes or upgrades the namespace's schema, and begins to work. Several workers of one process
 * share its connections and its lease. On SIGTERM and SIGINT all of them stop in order, unless the program listens to
 * those signals itself.
 *
 * With a readonly connection it is made, connects nowhere and runs nothing.
 *
 * @example
 * const worker = await Durable.Worker.create({ connection, taskQueue: 'orders', workflow: orderWorkflow, activities });
 * await worker.stop();
 */
export class Worker {
  readonly taskQueue: string;
  readonly #leave: () => Promise<void>;

  private constructor(taskQueue: string, leave: () => Promise<void>) {
    this.taskQueue = taskQueue;
    this.#leave = leave;
    running.add(this);
    watchSignals(Worker.shutdown);
  }

  /**
   * @throws {InvalidArgumentError} for options it cannot run with; nothing was connected then.
   * @throws {ConnectionError} when the database cannot be reached within 30 s.
   * @throws {SchemaVersionError} when the namespace was left behind by a newer version.
   * @throws {PermissionError} when its credentials were not granted what it is to serve.
   */
  static async create(options: WorkerOptions): Promise<Worker> {
    const resolved = resolveWorkerOptions('Worker.create', options);
    return new Worker(resolved.taskQueue, await serveWatched(resolved, new Serving(resolved)));
  }

  /** @internal The worker that `registerActivityWorker` makes: activities only. */
  static async forActivities(
    config: ActivityWorkerOptions,
    activities: UserFunction | UserFunctions,
    taskQueue?: string,
  ): Promise<Worker> {
    const call = 'registerActivityWorker';
    const { taskQueue: queue = 'durable-activities' } = { ...config }; // null is refused with the rest
    const resolved = {
      ...resolveWorkerOptions(call, {
        ...config,
        taskQueue: checkTaskQueue(call, taskQueue ?? queue),
        workflow: function none() {},
      }),
      workflows: new Map<string, UserFunction>(),
      activities: functionsOf(call, 'activities', activities, true),
      tuning: resolveTuning(call, config.options),
    };
    const serving = new Serving(resolved);
    const functions = serving.activityFunctions;
    return pools.register(resolved, functions, async () => {
      const leave = await serveWatched(resolved, serving);
      return new Worker(resolved.taskQueue, () => {
        pools.leave(functions);
        return leave();
      });
    });
  }

  /** Resolves when the worker has stopped. */
  async run(): Promise<void> {
    await this.#stopped;
  }

  /**
   * Stops in order: takes nothing new, lets running activities finish (`shutdownGrace`), parks or gives back workflows,
   * ends the connections behind the last worker of the process. What was not finished goes on in other workers. Idempotent.
   */
  async stop(): Promise<void> {
    try {
      await this.#leave();
    } finally {
      running.delete(this);
      this.#resolveStopped();
    }
  }

  /** The same as {@link stop}. */
  shutdown(): Promise<void> {
    return this.stop();
  }

  #resolveStopped: () => void = () => {};
  readonly #stopped = new Promise<void>((resolve) => {
    this.#resolveStopped = resolve;
  });

  /** Stops all workers of this process. */
  static async shutdown(): Promise<void> {
    await Promise.all([...running].map((worker) => worker.stop()));
  }
}

/** Serves, and watches what workflow code calls, as long as it serves. */
async function serveWatched(worker: ResolvedWorker, serving: Serving): Promise<() => Promise<void>> {
  const { tuning, workflows, connection, namespace, taskQueue, logger } = worker;
  if (isReadonly(connection)) {
    providerOf(shortForm(connection).class);
    logger.info({ namespace, taskQueue }, 'a worker of a readonly connection runs nothing');
    return async () => {};
  }
  let left: Promise<void> | null = null;
  const unwatch = tuning.determinism === 'off' || workflows.size === 0 ? () => {} : watchCalls();
  try {
    const leave = await serve(worker, serving);
    worker.events?.engine('started', worker.guid);
    worker.events?.worker('started', taskQueue);
    return () => {
      left ??= leave().finally(() => {
        unwatch();
        worker.events?.worker('stopped', taskQueue);
        worker.events?.engine('stopped', worker.guid);
      });
      return left;
    };
  } catch (error) {
    unwatch();
    throw error;
  }
}

export interface ActivityWorkerOptions {
  readonly connection: WorkerOptions['connection'];
  /** As `Worker.create` takes them: `<taskQueue>-activity` must be granted. */
  readonly workerCredentials?: WorkerCredentials;
  readonly namespace?: string;
  /** Default `'durable-activities'`. */
  readonly taskQueue?: string;
  readonly options?: WorkerTuning;
  /** User code around the activities it runs. */
  readonly interceptors?: Pick<WorkerInterceptors, 'activityInbound'>;
  /** Is told that it was started and stopped. */
  readonly events?: EventsConfig;
  /** As `Worker.create` takes it. */
  readonly logger?: Logger;
}

/**
 * Runs activities only: a pool of its own, which workflows reach by `proxyActivities({ taskQueue })`.
 *
 * Registered again for the same connection, namespace and queue, the worker that is there takes the further functions and is
 * what this resolves to. Another function under a name that is taken, or other options, make a worker of their own: both
 * then share the queue, and each runs what it brought.
 *
 * @param activities An object of functions, or one named function.
 * @param activityTaskQueue The queue to serve. Default: the config's `taskQueue`.
 *
 * @example
 * await Durable.registerActivityWorker({ connection, taskQueue: 'payments' }, { charge, refund });
 */
export function registerActivityWorker(
  config: ActivityWorkerOptions,
  activities: UserFunction | UserFunctions,
  activityTaskQueue?: string,
): Promise<Worker> {
  return Worker.forActivities(config, activities, activityTaskQueue);
}
