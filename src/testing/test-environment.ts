import * as v from 'valibot';
import { Client } from '../client/client.js';
import type { WorkflowHandle } from '../client/handle.js';
import { type LinkUse, useLink } from '../client/link.js';
import type { StartOptions } from '../client/start-options.js';
import { parseDuration } from '../core/duration.js';
import { InvalidArgumentError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { parseOptions } from '../core/options.js';
import { schemaName } from '../postgres/namespace.js';
import { resolveLogger } from '../telemetry/logger.js';
import type { Host } from '../worker/host.js';
import { hostOf } from '../worker/hosts.js';
import type { WorkerInterceptors } from '../worker/interceptors.js';
import type { UserFunction, UserFunctions, WorkerTuning } from '../worker/options.js';
import { Worker } from '../worker/worker.js';
import { type EmbeddedDatabase, embeddedDatabase } from './embedded-database.js';
import { VirtualClock } from './virtual-clock.js';

/** Options of {@link TestEnvironment.create}. */
export interface TestEnvironmentOptions {
  /** A named function, or an object of functions. */
  readonly workflow: UserFunction | UserFunctions;
  /** What the workflows call: the real ones, or others of the same names. */
  readonly activities?: UserFunctions;
  /** Default `'test'`. */
  readonly taskQueue?: string;
  /** Default `'durable'`. */
  readonly namespace?: string;
  /**
   * `'skipping'`: while somebody waits for a result and nothing can happen but a timer, the clock jumps to the next one. `'manual'`:
   * only {@link TestEnvironment.advance} moves it. `'real'`: it goes as clocks do. Default `'skipping'`.
   */
  readonly time?: 'skipping' | 'manual' | 'real';
  /** Of the worker. Its log is silent unless `logLevel` is given. */
  readonly options?: WorkerTuning;
  readonly interceptors?: WorkerInterceptors;
  /** Where worker and client say what they do. Default: the console, at the worker's `logLevel`. */
  readonly logger?: Logger;
}

const shape = v.strictObject({
  workflow: v.unknown(),
  activities: v.optional(v.unknown()),
  taskQueue: v.optional(v.string('text')),
  namespace: v.optional(v.string('text')),
  time: v.optional(v.picklist(['skipping', 'manual', 'real'], "'skipping', 'manual' or 'real'")),
  options: v.optional(v.looseObject({})),
  interceptors: v.optional(v.unknown()),
  logger: v.optional(v.unknown()),
});

const CALL = 'TestEnvironment.create';

/** How often it is looked whether time may be moved. */
const LOOK_MS = 2;

/**
 * The engine in a test: a database in memory, a worker, a client, and a clock that waits for nobody. A year of sleeps takes
 * milliseconds, by the database's clock too.
 *
 * What is not durable (a timer of Node, a request) takes its real time, and a workflow that awaits it does not hold the
 * clock: put such things into activities, which do.
 *
 * @example
 * const env = await TestEnvironment.create({ workflow: order, activities: { charge: async () => 'receipt' } });
 * const handle = await env.start('order', ['o-1']);   // sleeps 30 days between two charges
 * assert.equal(await handle.result(), 'receipt');
 * await env.close();
 */
export class TestEnvironment {
  readonly client: Client;
  readonly worker: Worker;
  readonly taskQueue: string;
  readonly namespace: string;
  /** For clients and workers of the test's own: `{ class, options }` of the database in memory. */
  readonly connection: { readonly class: object };
  readonly #clock: VirtualClock;
  readonly #host: Host;
  readonly #link: LinkUse;
  readonly #time: 'skipping' | 'manual' | 'real';
  readonly #db: EmbeddedDatabase;
  #advancing: { readonly until: number; readonly done: () => void } | null = null;
  #closed = false;
  #loop: Promise<void> = Promise.resolve();

  private constructor(made: {
    db: EmbeddedDatabase;
    client: Client;
    worker: Worker;
    host: Host;
    link: LinkUse;
    taskQueue: string;
    namespace: string;
    time: 'skipping' | 'manual' | 'real';
  }) {
    this.#db = made.db;
    this.connection = { class: made.db };
    this.client = made.client;
    this.worker = made.worker;
    this.taskQueue = made.taskQueue;
    this.namespace = made.namespace;
    this.#host = made.host;
    this.#link = made.link;
    this.#time = made.time;
    this.#clock = new VirtualClock(made.db, schemaName(made.namespace));
    if (made.time !== 'real') this.#loop = this.#run();
  }

  /**
   * @throws {InvalidArgumentError} for options it does not know, and when `@electric-sql/pglite` is not installed.
   */
  static async create(options: TestEnvironmentOptions): Promise<TestEnvironment> {
    const given = parseOptions(CALL, shape, options);
    const { taskQueue = 'test', namespace = 'durable', time = 'skipping' } = given;
    const { workflow, activities, interceptors, logger } = options;
    const tuning = { logLevel: 'silent', shutdownGrace: 100, parkAfter: 0, ...options.options };
    const db = await embeddedDatabase(CALL);
    const connection = { class: db };
    try {
      const worker = await Worker.create({
        connection,
        namespace,
        taskQueue,
        workflow,
        ...(activities !== undefined && { activities }),
        ...(interceptors !== undefined && { interceptors }),
        ...(logger !== undefined && { logger }),
        options: tuning,
      });
      const host = (await hostOf(connection, namespace)) as Host;
      const client = new Client({
        connection,
        namespace,
        ...(logger !== undefined && { logger }),
        options: { logLevel: tuning.logLevel },
      });
      return new TestEnvironment({
        db,
        client,
        worker,
        host,
        link: useLink(connection, namespace, resolveLogger(CALL, options.logger, tuning.logLevel)),
        taskQueue,
        namespace,
        time,
      });
    } catch (error) {
      await db.close();
      throw error;
    }
  }

  /** Starts a workflow of the worker: `client.workflow.start` with its queue. */
  start(
    workflowName: string,
    args: readonly unknown[] = [],
    options: Partial<StartOptions> = {},
  ): Promise<WorkflowHandle> {
    return this.client.workflow.start({ taskQueue: this.taskQueue, workflowName, args, ...options });
  }

  /** The time in the database and in `workflow.now()`. */
  now(): Date {
    return new Date(this.#clock.now());
  }

  /**
   * Lets time pass: timers, retries and limits that are due within it come one after the other, as ever. Resolves when all has
   * happened that follows from them.
   *
   * @param duration Like `'30 days'`, or milliseconds.
   * @throws {InvalidArgumentError} for what is no duration, while another one is under way, and with `time: 'real'`.
   */
  advance(duration: string | number): Promise<void> {
    const ms = parseDuration('advance', duration, 'duration');
    if (this.#time === 'real')
      throw new InvalidArgumentError("advance: time must be 'skipping' or 'manual'; got 'real'");
    if (this.#advancing !== null) throw new InvalidArgumentError('advance: another one is under way. Await it first');
    return new Promise((done) => {
      this.#advancing = { until: this.#clock.now() + ms, done };
    });
  }

  /** Ends worker, client and database. What waits for a result gets an error. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#loop;
    await this.worker.stop();
    await Promise.all([this.client.close(), this.#link.end()]);
    await this.#db.close();
  }

  async #run(): Promise<void> {
    const { watcher } = await this.#link.link;
    while (!this.#closed) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      if (this.#advancing === null && !(this.#time === 'skipping' && watcher.waiting > 0)) continue;
      await this.#pass();
    }
  }

  /** One step: to whatever is due next. */
  async #pass(): Promise<void> {
    const dueInMs = await this.#clock.rest(this.#host);
    if (dueInMs === null || this.#closed) return;
    const advancing = this.#advancing;
    const leftMs = advancing === null ? Infinity : advancing.until - this.#clock.now();
    if (dueInMs <= leftMs && dueInMs !== Infinity) {
      await this.#clock.jump(this.#host, dueInMs);
    } else if (leftMs > 0 && leftMs !== Infinity) {
      await this.#clock.jump(this.#host, leftMs);
    } else if (advancing !== null) {
      this.#advancing = null;
      advancing.done();
    }
  }
}
