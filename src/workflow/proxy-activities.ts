import * as v from 'valibot';
import { encodeArguments, encodePayload } from '../codec/payload.js';
import { InvalidArgumentError } from '../core/errors.js';
import { finalActivityError } from '../core/failure.js';
import { fingerprint } from '../core/fingerprint.js';
import type { Event, RetrySpec } from '../core/history.js';
import { identifier, interval, parseOptions } from '../core/options.js';
import { type RetryOptions, type RetryPolicy, resolveRetryPolicy } from '../core/retry-policy.js';
import type { ActivityFunction, ReadEvent } from '../replay/pending-operation.js';
import { contextOf, instanceHere } from './context.js';
import { unawaited } from './unawaited.js';

/** Options of {@link proxyActivities}. */
export interface ActivityOptions<A = Record<string, ActivityFunction>> {
  /** The functions, when they run in the workers of this workflow. They belong to this workflow, not to the process. */
  readonly activities?: A;
  /** The queue whose activity workers run them. Default: the workflow's. */
  readonly taskQueue?: string;
  /** When a failed attempt is repeated. Default: the workflow's `config`, i.e. 50 retries after 1 s, 5 s, 25 s, then every 120 s. */
  readonly retry?: RetryOptions;
  /** Older name of `retry`. */
  readonly retryPolicy?: RetryOptions;
  /** Limit of one attempt. A late one is aborted and retried. Default: none. */
  readonly startToCloseTimeout?: string | number;
  /** Visible to the activity as `getContext().headers`. */
  readonly headers?: Readonly<Record<string, unknown>>;
  /** Accepted for compatibility; results live as long as their workflow. */
  readonly expire?: number;
}

/** The functions of `A` as a workflow calls them. */
export type ActivityProxy<A> = {
  [K in keyof A]: A[K] extends (...args: infer P) => infer R ? (...args: P) => Promise<Awaited<R>> : never;
};

const activityOptions = v.strictObject({
  activities: v.optional(v.record(v.string(), v.unknown())),
  taskQueue: v.optional(identifier),
  retry: v.optional(v.unknown()),
  retryPolicy: v.optional(v.unknown()),
  startToCloseTimeout: v.optional(interval),
  headers: v.optional(v.record(v.string(), v.unknown())),
  expire: v.optional(v.unknown()),
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
  const given = parseOptions('proxyActivities', activityOptions, options);
  const retryGiven = (given.retry ?? given.retryPolicy) as RetryOptions | undefined;
  resolveRetryPolicy('proxyActivities', retryGiven, undefined, given.retry === undefined ? 'retryPolicy' : 'retry');
  const implementations = activitiesOf(given.activities);
  const headers = given.headers === undefined ? null : encodePayload(given.headers, 'headers');
  const bound = instanceHere();

  let known: { inherited: RetryPolicy; policy: RetrySpec; read: ReadEvent<unknown> } | null = null;
  const policyBehind = (inherited: RetryPolicy) => {
    if (known?.inherited === inherited) return known;
    const { throwOnError, ...policy } = resolveRetryPolicy('proxyActivities', retryGiven, inherited);
    known = { inherited, policy, read: throwOnError ? resultOrThrow : resultOrError };
    return known;
  };

  const call = (name: string, args: unknown[]): Promise<unknown> => {
    const { instance, cancellable } = contextOf(name, bound);
    const { policy, read } = policyBehind(instance.info.retry);
    const text = encodeArguments(args, name);
    return instance.call(
      {
        kind: 'activity',
        name,
        fingerprint: fingerprint(text),
        counter: instance.tick(),
        spec: {
          taskQueue: given.taskQueue ?? instance.info.taskQueue,
          args: text,
          headers,
          retry: policy,
          startToCloseMs: given.startToCloseTimeout ?? null,
        },
      },
      { cancellable, implementation: implementations.get(name) ?? null },
      read,
    );
  };

  // Lazily, by property name: a remote activity needs no local registration.
  const made = new Map<string, (...args: unknown[]) => Promise<unknown>>();
  return new Proxy({} as ActivityProxy<A>, {
    get(_target, property) {
      if (typeof property !== 'string' || property === 'then') return undefined; // awaiting the proxy must not call it
      let known = made.get(property);
      if (known === undefined) {
        // No async function: the operation's own promise is the caller's.
        known = (...args) => {
          try {
            return call(property, args);
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

function activitiesOf(activities: Record<string, unknown> | undefined): Map<string, ActivityFunction> {
  const functions = new Map<string, ActivityFunction>();
  for (const [name, value] of Object.entries(activities ?? {})) {
    if (typeof value === 'function') functions.set(name, value as ActivityFunction);
    else if (name !== 'default')
      throw new InvalidArgumentError(`proxyActivities: activities.${name} must be a function; got ${typeof value}`);
  }
  return functions;
}
