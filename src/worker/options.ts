/** The one door for worker options. */

import * as v from 'valibot';
import { InvalidArgumentError } from '../core/errors.js';
import { checkIdentifier, checkTaskQueue, guid } from '../core/identifier.js';
import { type EventsConfig, eventsOption, LifecycleEvents } from '../core/lifecycle-events.js';
import type { Logger } from '../core/logger.js';
import { callback, flag, identifier, interval, parseOptions, wholeNumber } from '../core/options.js';
import { type RetryOptions, type RetryPolicy, resolveRetryPolicy } from '../core/retry-policy.js';
import type { ConnectionOptions, ConnectionsByRole } from '../postgres/connection.js';
import { checkCredentials, type WorkerCredentials, withCredentials } from '../postgres/credentials.js';
import { schemaName } from '../postgres/namespace.js';
import { logLevel, resolveLogger } from '../telemetry/logger.js';
import type { Archive } from './archived-execution.js';
import { resolveInterceptors, type WorkerInterceptors } from './interceptors.js';

// biome-ignore lint/suspicious/noExplicitAny: any function is a workflow or an activity; its arguments are the user's business
export type UserFunction = (...args: any[]) => unknown;
export type UserFunctions = Readonly<Record<string, UserFunction>>;

export interface WorkerOptions {
  /** How to reach the database: `{ class, options }` with `pg`'s Client or Pool, or PGlite. */
  readonly connection: ConnectionOptions | ConnectionsByRole;
  /**
   * Who to connect as, instead of who the connection names; for everything this worker does. Of a worker role
   * (`provisionWorkerRole`) its queue must be granted, and it makes no schema: docs/roles.md. Not with PGlite.
   */
  readonly workerCredentials?: WorkerCredentials;
  /** Default `'durable'`. */
  readonly namespace?: string;
  /** The queue this worker serves, with its workflows and its activities. */
  readonly taskQueue: string;
  /** A named function, or an object of functions; all of them are registered. */
  readonly workflow: UserFunction | UserFunctions;
  /** Functions that `proxyActivities` of these workflows may call. They belong to this worker. */
  readonly activities?: UserFunctions;
  readonly options?: WorkerTuning;
  /** User code around this worker's workflows, their activity calls and the activities it runs. Within the process's interceptors. */
  readonly interceptors?: WorkerInterceptors;
  /** Where it says what it does, and what `workflow.log` and an activity's `log` write to: pino, or alike. Default: lines on stderr. */
  readonly logger?: Logger;
  /**
   * Called with each execution that has ended before it is pruned. When it throws or rejects, the execution stays and comes
   * again after five minutes; a repetition is possible at any time, so it should overwrite what it wrote.
   *
   * From the first worker that has one, executions of the namespace are pruned by such workers only, so that none goes
   * unarchived. `false` ends that, for the namespace. One function per process and namespace: the first one given.
   */
  readonly archive?: Archive | false;
  /** Names it in its lifecycle events. Default: generated. */
  readonly guid?: string;
  /** Is told that it was started and stopped, and how the workflows it runs begin and end: see docs/lifecycle-events.md. */
  readonly events?: EventsConfig;
}

export interface WorkerTuning extends RetryOptions {
  /** Workflows this worker advances at once; where it serves several, one place in ten is kept for those of which few run. Default 5,000. */
  readonly maxConcurrentWorkflows?: number;
  /** Activity attempts that run at once. Default 1,000. */
  readonly maxConcurrentActivities?: number;
  /** Parked workflows whose live instance is kept, in all workers of the process. Default 10,000. */
  readonly maxCachedWorkflows?: number;
  /** Without a sign of life for this long the process counts as dead. Default `'10s'`; a process's workers share the first one given. */
  readonly leaseDuration?: string | number;
  /**
   * How long code may hold up the process, by computing without awaiting anything, before others take over what it has: a thread
   * renews the lease meanwhile (not with PGlite, where nobody else could). 0: no thread, and no longer than the lease. Default
   * `'60s'`; a process's workers share the first one given. See docs/overload.md.
   */
  readonly stallLimit?: string | number;
  /**
   * Workers that may die with a workflow in a row, without a step in between, before it is quarantined: from the second death on
   * it is tried apart from others, and after this many it is not run until it is resumed. 0: it is tried for ever. Default 5; a
   * process's workers share the first one given.
   */
  readonly quarantineAfter?: number;
  /** Nothing may happen for this long before a workflow is parked. Default `'1s'`. */
  readonly parkAfter?: string | number;
  /** How long replay waits at least for a command that was recorded late. Default `'10s'`. */
  readonly lateCommandTimeout?: string | number;
  /** How long `stop()` lets activities finish before it aborts them and leaves them to others. Default `'10s'`. */
  readonly shutdownGrace?: string | number;
  /** Whether processes tell each other by NOTIFY; without it they poll. Default true. */
  readonly notifications?: boolean;
  /**
   * What happens when workflow code asks for what differs in a replay: `Date.now()`, `Math.random()`, `setTimeout`, `fetch`, files
   * and the like. `'warn'`: one warning for each place in the code; `'strict'`: the call throws a DeterminismError, which ends
   * the workflow; `'off'`. Default `'warn'`, with `NODE_ENV=production` `'off'`.
   */
  readonly determinism?: 'off' | 'warn' | 'strict';
  /**
   * What is less serious is not said: `silent`, `error`, `warn`, `info`, `debug`, `trace`. Default: a `logger` decides by itself;
   * without one env `HMSH_LOGLEVEL`, else `info`.
   */
  readonly logLevel?: string;
}

const tuningShape = v.strictObject({
  maxConcurrentWorkflows: v.optional(wholeNumber(1, 1_000_000)),
  maxConcurrentActivities: v.optional(wholeNumber(0, 1_000_000)),
  maxCachedWorkflows: v.optional(wholeNumber(0, 10_000_000)),
  leaseDuration: v.optional(interval),
  stallLimit: v.optional(interval),
  quarantineAfter: v.optional(wholeNumber(0, 1_000)),
  parkAfter: v.optional(interval),
  lateCommandTimeout: v.optional(interval),
  shutdownGrace: v.optional(interval),
  notifications: v.optional(flag),
  determinism: v.optional(v.picklist(['off', 'warn', 'strict'], "'off', 'warn' or 'strict'")),
  logLevel: v.optional(logLevel),
  maximumAttempts: v.optional(v.unknown()),
  backoffCoefficient: v.optional(v.unknown()),
  initialInterval: v.optional(v.unknown()),
  maximumInterval: v.optional(v.unknown()),
  throwOnError: v.optional(v.unknown()),
  nonRetryableErrorTypes: v.optional(v.unknown()),
});

const workerShape = v.strictObject({
  connection: v.unknown(),
  workerCredentials: v.optional(v.unknown()),
  namespace: v.optional(v.string('text')),
  taskQueue: identifier,
  workflow: v.unknown(),
  activities: v.optional(v.unknown()),
  options: v.optional(v.unknown()),
  interceptors: v.optional(v.unknown()),
  logger: v.optional(v.unknown()),
  events: v.optional(eventsOption),
  archive: v.optional(v.union([v.literal(false), callback], 'a function, or false')),
  search: v.optional(v.unknown()),
  guid: v.optional(v.unknown()),
});

export interface ResolvedTuning {
  readonly maxConcurrentWorkflows: number;
  readonly maxConcurrentActivities: number;
  readonly maxCachedWorkflows: number;
  readonly leaseMs: number;
  readonly stallLimitMs: number;
  readonly quarantineAfter: number;
  readonly parkAfterMs: number;
  readonly lateCommandMs: number;
  readonly shutdownGraceMs: number;
  readonly notifications: boolean;
  readonly determinism: 'off' | 'warn' | 'strict';
  /** As it was given. */
  readonly logLevel: string | undefined;
  /** What workflows without a `config` of their own inherit. */
  readonly retry: RetryPolicy;
}

export interface ResolvedWorker {
  readonly connection: ConnectionOptions | ConnectionsByRole;
  /** It has credentials of its own: it makes no schema, and serves what they were granted. */
  readonly scoped: boolean;
  readonly namespace: string;
  readonly taskQueue: string;
  readonly workflows: ReadonlyMap<string, UserFunction>;
  readonly activities: ReadonlyMap<string, UserFunction>;
  readonly tuning: ResolvedTuning;
  readonly interceptors: Required<WorkerInterceptors>;
  /** What concerns its process goes to that of the process's first worker. */
  readonly logger: Logger;
  /** The user's, as it was given. */
  readonly ownLogger: unknown;
  readonly archive?: Archive | false;
  /** Null: nobody listens. */
  readonly events: LifecycleEvents | null;
  /** Names it in its events. */
  readonly guid: string;
}

/** @throws {InvalidArgumentError} for anything a worker cannot run with. */
export function resolveWorkerOptions(call: string, options: WorkerOptions): ResolvedWorker {
  const given = parseOptions(call, workerShape, options);
  const namespace = given.namespace ?? 'durable';
  schemaName(namespace);
  const tuning = resolveTuning(call, given.options);
  const logger = resolveLogger(call, given.logger, tuning.logLevel);
  const scoped = given.workerCredentials !== undefined;
  if (scoped && given.archive !== undefined) {
    throw new InvalidArgumentError(
      `${call}: archive cannot be used with workerCredentials: it sees the executions of all queues. Give it to a worker without`,
    );
  }
  return {
    connection: scoped
      ? withCredentials(call, options.connection, checkCredentials(call, given.workerCredentials))
      : options.connection,
    scoped,
    namespace,
    taskQueue: checkTaskQueue(call, given.taskQueue),
    workflows: functionsOf(call, 'workflow', given.workflow, true),
    activities: functionsOf(call, 'activities', given.activities ?? {}, false),
    tuning,
    logger,
    ownLogger: given.logger,
    interceptors: resolveInterceptors(call, given.interceptors),
    events: given.events === undefined ? null : new LifecycleEvents(given.events, namespace, logger),
    guid: typeof given.guid === 'string' ? given.guid : guid(),
    ...(given.archive !== undefined && { archive: given.archive as Archive | false }),
  };
}

export function resolveTuning(call: string, options: unknown): ResolvedTuning {
  const given = parseOptions(call, tuningShape, options ?? {}, 'options');
  const {
    maximumAttempts,
    backoffCoefficient,
    initialInterval,
    maximumInterval,
    throwOnError,
    nonRetryableErrorTypes,
  } = given;
  const retry = {
    maximumAttempts,
    backoffCoefficient,
    initialInterval,
    maximumInterval,
    throwOnError,
    nonRetryableErrorTypes,
  };
  return {
    maxConcurrentWorkflows: given.maxConcurrentWorkflows ?? 5_000,
    maxConcurrentActivities: given.maxConcurrentActivities ?? 1_000,
    maxCachedWorkflows: given.maxCachedWorkflows ?? 10_000,
    leaseMs: Math.max(1_000, given.leaseDuration ?? 10_000),
    stallLimitMs: given.stallLimit ?? 60_000,
    quarantineAfter: given.quarantineAfter ?? 5,
    parkAfterMs: given.parkAfter ?? 1_000,
    lateCommandMs: given.lateCommandTimeout ?? 10_000,
    shutdownGraceMs: given.shutdownGrace ?? 10_000,
    notifications: given.notifications ?? true,
    determinism: given.determinism ?? (process.env.NODE_ENV === 'production' ? 'off' : 'warn'),
    logLevel: given.logLevel,
    retry: resolveRetryPolicy(call, retry as RetryOptions, undefined, 'options'),
  };
}

/** A function or an object of functions, by the names they are called by. */
export function functionsOf(call: string, field: string, value: unknown, required: boolean): Map<string, UserFunction> {
  const functions = new Map<string, UserFunction>();
  const add = (name: string, fn: unknown) => {
    if (typeof fn !== 'function')
      throw new InvalidArgumentError(`${call}: ${field}.${name} must be a function; got ${typeof fn}`);
    if (name === '')
      throw new InvalidArgumentError(
        `${call}: ${field} must be a named function; got an anonymous one. Give it a name`,
      );
    checkIdentifier(call, `the name of a function in ${field}`, name);
    if (functions.has(name))
      throw new InvalidArgumentError(`${call}: ${field} has two functions named "${name}". Names must differ`);
    functions.set(name, fn as UserFunction);
  };
  if (typeof value === 'function') {
    add(value.name, value);
  } else if (typeof value === 'object' && value !== null) {
    // A default export is called by its function's name.
    for (const [key, fn] of Object.entries(value))
      add(key === 'default' && typeof fn === 'function' ? fn.name : key, fn);
  } else {
    throw new InvalidArgumentError(
      `${call}: ${field} must be a function or an object of functions; got ${value === null ? 'null' : typeof value}`,
    );
  }
  if (required && functions.size === 0)
    throw new InvalidArgumentError(`${call}: ${field} has no function. Give at least one`);
  return functions;
}
