import * as v from 'valibot';
import { encodeArguments, encodePayload } from '../codec/payload.js';
import { InvalidArgumentError } from '../core/errors.js';
import { finalActivityError } from '../core/failure.js';
import { fingerprint } from '../core/fingerprint.js';
import type { ActivityLimits, Event, RetrySpec } from '../core/history.js';
import { checkIdentifier, isIdentifier } from '../core/identifier.js';
import { fieldsByName, flag, identifier, interval, limit, parseOptions, seconds } from '../core/options.js';
import { refusal } from '../core/refusal.js';
import { type RetryOptions, type RetryPolicy, resolveRetryPolicy } from '../core/retry-policy.js';
import { unawaited } from '../core/unawaited.js';
import type { Instance } from '../replay/instance.js';
import type { ActivityFunction, ReadEvent } from '../replay/pending-operation.js';
import { contextOf, type InterceptedCall, instanceHere } from './context.js';

/** Options of {@link proxyActivities}. */
export interface ActivityOptions<A = Record<string, ActivityFunction>> {
  /**
   * The functions. They belong to these calls, not to the worker or the process, and run where the workflow runs; on another
   * `taskQueue` its workers' own functions of these names are called.
   */
  readonly activities?: A;
  /** The queue whose activity workers run them. Default: the workflow's. */
  readonly taskQueue?: string;
  /** When a failed attempt is repeated. Default: the workflow's `config`, i.e. 50 retries after 1 s, 5 s, 25 s, then every 120 s. */
  readonly retry?: RetryOptions;
  /** Older name of `retry`. */
  readonly retryPolicy?: RetryOptions;
  /** Limit of one attempt. A late one is aborted and retried. Default: none. */
  readonly startToCloseTimeout?: string | number;
  /** Limit of the call with all its attempts and delays; behind it nothing is retried. Default: none. */
  readonly scheduleToCloseTimeout?: string | number;
  /** How long a worker may take to begin an attempt; then the call fails, since another attempt would wait too. Default: none. */
  readonly scheduleToStartTimeout?: string | number;
  /** How long an attempt may be silent: see `Durable.activity.heartbeat`. A silent one is aborted and retried. Default: none. */
  readonly heartbeatTimeout?: string | number;
  /**
   * Runs each attempt in a transaction of the engine's database, `getContext().transaction`. What it writes there and its
   * completion are one commit: its effect is there exactly once, whoever is killed when. Default false.
   */
  readonly transactional?: boolean;
  /** Visible to the activity as `getContext().headers`. */
  readonly headers?: Readonly<Record<string, unknown>>;
  /** Accepted for compatibility; results live as long as their workflow. */
  readonly expire?: number;
}

/** The functions of `A` as a workflow calls them. */
export type ActivityProxy<A> = {
  [K in keyof A]: A[K] extends (...args: infer P) => infer R ? (...args: P) => Promise<Awaited<R>> : never;
};

/** An activity call on its way out. What an outbound interceptor changes before `next()` is what is sent. */
export interface ActivityCall extends InterceptedCall {
  // biome-ignore lint/suspicious/noExplicitAny: arguments of any activity
  args: any[];
  /** As `proxyActivities` was given them; a copy for this call. */
  options: { -readonly [K in keyof ActivityOptions]: ActivityOptions[K] } & { headers: Record<string, unknown> };
}

export const activityOptions = v.strictObject({
  activities: v.optional(fieldsByName),
  taskQueue: v.optional(identifier),
  retry: v.optional(v.unknown()),
  retryPolicy: v.optional(v.unknown()),
  startToCloseTimeout: v.optional(interval),
  scheduleToCloseTimeout: v.optional(limit),
  scheduleToStartTimeout: v.optional(limit),
  heartbeatTimeout: v.optional(limit),
  transactional: v.optional(flag),
  headers: v.optional(fieldsByName),
  expire: v.optional(seconds),
});

/**
 * Functions with side effects, as a workflow calls them: each call is scheduled durably, runs on a worker, is retried
 * by its policy, and its result is recorded once.
 *
 * Free: nothing is recorded by making the proxy. May be called inside the workflow or at module level.
 *
 * @throws {InvalidArgumentError} for options that make no sense.
 *
 * @example
 * const { charge } = Durable.workflow.proxyActivities<typeof activities>({ activities, retry: { maximumAttempts: 3 } });
 * const receipt = await charge(orderId);
 */
export function proxyActivities<A = Record<string, (...args: unknown[]) => unknown>>(
  options: ActivityOptions<A> = {},
): ActivityProxy<A> {
  const plan = planOf('proxyActivities', options as ActivityOptions);
  refuseBothNames('proxyActivities', options as ActivityOptions);
  const bound = instanceHere();

  // Lazily, by property name: a remote activity needs no local registration.
  const made = new Map<string, (...args: unknown[]) => Promise<unknown>>();
  return new Proxy({} as ActivityProxy<A>, {
    get(_target, property) {
      if (typeof property !== 'string' || property === 'then') return undefined; // awaiting the proxy must not call it
      let known = made.get(property);
      if (known === undefined) {
        // No async function: the operation's own promise is the caller's.
        const isName = isIdentifier(property);
        known = (...args) => {
          try {
            if (!isName) checkIdentifier('proxyActivities', 'the name of an activity', property);
            return callActivity(plan, property, args, bound);
          } catch (error) {
            return unawaited(Promise.reject(error));
          }
        };
        made.set(property, known);
      }
      return known;
    },
  });
}

/** What the options of an activity call come to. */
export interface ActivityPlan {
  /** The function as the user wrote it. */
  readonly call: string;
  readonly options: ActivityOptions;
  readonly given: v.InferOutput<typeof activityOptions>;
  readonly implementations: ReadonlyMap<string, ActivityFunction>;
  readonly headers: string | null;
  readonly limits: ActivityLimits | null;
  policyBehind(inherited: RetryPolicy): { readonly policy: RetrySpec; readonly read: ReadEvent<unknown> };
}

/** An interceptor may add the newer name to a call that has the older one; whoever gives both does not know which counts. */
export function refuseBothNames(call: string, { retry, retryPolicy }: ActivityOptions): void {
  if (retry === undefined || retryPolicy === undefined) return;
  const todo = 'It is the older name of retry: name the retries once';
  throw refusal(call, 'retryPolicy', { must: 'left out beside retry', todo }, retryPolicy);
}

export function planOf(call: string, options: ActivityOptions): ActivityPlan {
  const given = parseOptions(call, activityOptions, options);
  const retryGiven = retryOf(call, given);
  const implementations = activitiesOf(given.activities);
  const headers = hasFields(given.headers) ? encodePayload(given.headers, 'headers') : null;
  let known: { inherited: RetryPolicy; policy: RetrySpec; read: ReadEvent<unknown> } | null = null;
  const policyBehind = (inherited: RetryPolicy) => {
    if (known?.inherited === inherited) return known;
    const { throwOnError, ...policy } = resolveRetryPolicy(call, retryGiven, inherited);
    known = { inherited, policy, read: throwOnError ? resultOrThrow : resultOrError };
    return known;
  };
  return { call, options, given, implementations, headers, limits: limitsOf(given), policyBehind };
}

/** The retries by their newer or, where that is not given, their older name. */
function retryOf(
  call: string,
  { retry, retryPolicy }: v.InferOutput<typeof activityOptions>,
): RetryOptions | undefined {
  const given = (retry === undefined ? retryPolicy : retry) as RetryOptions | undefined;
  resolveRetryPolicy(call, given, undefined, retry === undefined ? 'retryPolicy' : 'retry');
  return given;
}

function limitsOf(given: v.InferOutput<typeof activityOptions>): ActivityLimits | null {
  const { scheduleToCloseTimeout, scheduleToStartTimeout, heartbeatTimeout } = given;
  if (scheduleToCloseTimeout === undefined && scheduleToStartTimeout === undefined && heartbeatTimeout === undefined)
    return null;
  return {
    ...(scheduleToCloseTimeout !== undefined && { scheduleToCloseMs: scheduleToCloseTimeout }),
    ...(scheduleToStartTimeout !== undefined && { scheduleToStartMs: scheduleToStartTimeout }),
    ...(heartbeatTimeout !== undefined && { heartbeatMs: heartbeatTimeout }),
  };
}

/**
 * Calls an activity, by way of the interceptors where there are any.
 *
 * @param bound The execution that the proxy was made in.
 */
export function callActivity(plan: ActivityPlan, name: string, args: unknown[], bound?: Instance): Promise<unknown> {
  const context = contextOf(name, bound);
  if (context.intercept === null) return send(plan, name, args, context);
  const changeable = callOf(name, args, plan.options);
  const innermost = async () => {
    const changed = checkIdentifier(plan.call, 'activityName', changeable.activityName);
    return send(planOf(plan.call, changeable.options), changed, changeable.args, contextOf(name, bound));
  };
  return unawaited(context.intercept(changeable, innermost));
}

function send(
  { given, implementations, headers, limits, policyBehind }: ActivityPlan,
  name: string,
  args: unknown[],
  { instance, cancellable }: ReturnType<typeof contextOf>,
): Promise<unknown> {
  const { policy, read } = policyBehind(instance.info.retry);
  const text = encodeArguments(args, name);
  const taskQueue = given.taskQueue ?? instance.info.taskQueue;
  const implementation = implementations.get(name) ?? null;
  return instance.call(
    {
      kind: 'activity',
      name,
      fingerprint: fingerprint(text),
      counter: instance.tick(),
      spec: {
        taskQueue,
        args: text,
        headers,
        retry: policy,
        startToCloseMs: given.startToCloseTimeout ?? null,
        ...(limits !== null && { limits }),
        ...(implementation !== null && taskQueue === instance.info.taskQueue && { bound: true as const }),
        ...(given.transactional === true && { transactional: true as const }),
      },
    },
    { cancellable, implementation },
    read,
  );
}

/** A call with options of its own, which interceptors may change without reaching the next call. */
function callOf(activityName: string, args: unknown[], options: ActivityOptions): ActivityCall {
  const { retry, retryPolicy, headers } = options;
  return {
    activityName,
    args,
    options: {
      ...options,
      ...(retry !== undefined && { retry: { ...retry } }),
      ...(retryPolicy !== undefined && { retryPolicy: { ...retryPolicy } }),
      headers: { ...headers },
    },
  };
}

function resultOrError(event: Event): unknown {
  return resultOf(event, false);
}

function resultOrThrow(event: Event): unknown {
  return resultOf(event, true);
}

function resultOf(event: Event, throwOnError: boolean): unknown {
  if (event.kind === 'done') return event.value;
  if (event.kind !== 'fail') throw new TypeError(`an activity was ended by ${event.kind}`);
  const error = finalActivityError(event.failure, { throwOnError });
  if (throwOnError) throw error;
  return error;
}

function hasFields(value: Readonly<Record<string, unknown>> | undefined): boolean {
  for (const _key in value) return true;
  return false;
}

function activitiesOf(activities: Readonly<Record<string, unknown>> | undefined): Map<string, ActivityFunction> {
  const functions = new Map<string, ActivityFunction>();
  for (const [name, value] of Object.entries(activities ?? {})) {
    if (typeof value === 'function') functions.set(name, value as ActivityFunction);
    else if (name !== 'default')
      throw new InvalidArgumentError(`proxyActivities: activities.${name} must be a function; got ${typeof value}`);
  }
  return functions;
}
