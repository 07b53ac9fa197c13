/**
 * Interceptors on the workflow's side: user code around a workflow function (inbound) and around the activity calls it
 * makes (outbound), like the layers of an onion.
 *
 * They run as part of the workflow: replayed with it, free to make durable calls. A layer that calls `next()` without
 * awaiting anything before adds nothing in front of a command, so that commands keep their order; what it awaits behind
 * `next()` comes in the same turn as before, since events are delivered one a turn.
 */

import { InvalidArgumentError } from '../core/errors.js';
import { unawaited } from '../core/unawaited.js';
import { type Intercept, instanceHere, runIntercepted, watchHere } from './context.js';
import { type WorkflowInfo, workflowInfo } from './info.js';
import type { ActivityCall } from './proxy-activities.js';

/** What an interceptor finds in its workflow's context by name, beside what it or others `set` there. */
export interface WorkflowContextValues extends Omit<WorkflowInfo, 'raw'> {
  /** The function's arguments. Changing the array, or setting another one, before `next()` changes what it is called with. */
  readonly arguments: unknown[];
  readonly raw: { readonly data: WorkflowInfo['raw']['data'] & { readonly arguments: readonly unknown[] } };
  readonly patchMarkers: Readonly<Record<string, never>>;
  /** What `Durable.getInterceptorService()` gives. */
  readonly activityInterceptorService: unknown;
}

/** One for each life of a workflow in a process, shared by its interceptors. Nothing in it is stored. */
// biome-ignore lint/suspicious/noExplicitAny: a bag for what interceptors agree on; programs read it without a cast
export interface WorkflowContextMap extends Map<string, any> {
  get<K extends keyof WorkflowContextValues>(key: K): WorkflowContextValues[K];
  // biome-ignore lint/suspicious/noExplicitAny: see above
  get(key: string): any;
}

/** What lies further in: the next interceptor or, innermost, what is intercepted. Each call runs it once more. */
// biome-ignore lint/suspicious/noExplicitAny: interceptors see results of every type
export type Next = () => Promise<any>;

/**
 * Around a whole workflow or hook function: once for each time it runs, that is live, again in each replay, and again
 * when the function itself is retried. May make durable calls.
 *
 * @example
 * Durable.registerInboundInterceptor({
 *   async execute(ctx, next) {
 *     try {
 *       return await next();
 *     } catch (error) {
 *       if (!Durable.didInterrupt(error)) log.error({ workflowId: ctx.get('workflowId'), error });
 *       throw error;
 *     }
 *   },
 * });
 */
export interface WorkflowInboundCallsInterceptor {
  /** @returns what the workflow returns: `next()`'s result, or another one. */
  execute(ctx: WorkflowContextMap, next: Next): Promise<unknown>;
}

/**
 * Around each call of a proxied activity, in the workflow. May make durable calls, activities of shared pools included;
 * calls that an interceptor makes pass only the interceptors further in, so that none meets its own.
 *
 * @example
 * Durable.registerOutboundInterceptor({
 *   async execute(activity, workflow, next) {
 *     activity.options.headers.tenant = workflow.get('tenant');
 *     return await next();
 *   },
 * });
 */
export interface WorkflowOutboundCallsInterceptor {
  /** @returns what the call resolves to: `next()`'s result, or another one. */
  execute(activity: ActivityCall, workflow: WorkflowContextMap, next: Next): Promise<unknown>;
}

export interface WorkflowInterceptors {
  readonly inbound: readonly WorkflowInboundCallsInterceptor[];
  readonly outbound: readonly WorkflowOutboundCallsInterceptor[];
  /** Shown to interceptors. */
  readonly connection: unknown;
  /** Shown to interceptors: those of the process. */
  readonly service: unknown;
}

/** Runs a workflow function within its interceptors. Called in the context of its instance. */
export async function throughInbound(
  { inbound, outbound, connection, service }: WorkflowInterceptors,
  args: readonly unknown[],
  run: (...args: unknown[]) => unknown,
): Promise<unknown> {
  const context = contextMap(args, connection, service);
  const intercept = outbound.length === 0 ? null : throughOutbound(outbound, context, 0);
  // Interceptors themselves may measure and log.
  const watch = watchHere();
  const at = (index: number): Promise<unknown> => {
    const interceptor = inbound[index];
    if (interceptor === undefined) return runIntercepted(intercept, watch, async () => run(...argumentsIn(context)));
    return runIntercepted(intercept, null, async () => interceptor.execute(context, () => unawaited(at(index + 1))));
  };
  return await at(0);
}

/** What takes a call through the interceptors from `first` on. */
function throughOutbound(
  outbound: readonly WorkflowOutboundCallsInterceptor[],
  context: WorkflowContextMap,
  first: number,
): Intercept {
  return (call, send) => {
    context.set('counter', instanceHere()?.counter);
    const at = (index: number): Promise<unknown> => {
      const interceptor = outbound[index];
      if (interceptor === undefined) return send();
      const execute = async () => interceptor.execute(call as ActivityCall, context, () => unawaited(at(index + 1)));
      // Its own calls pass only those further in: none meets itself, not by way of others either.
      return runIntercepted(throughOutbound(outbound, context, index + 1), null, execute);
    };
    return at(first);
  };
}

function contextMap(args: readonly unknown[], connection: unknown, service: unknown): WorkflowContextMap {
  const info = workflowInfo();
  const { COUNTER, raw, replay, cursor, interruptionRegistry } = info;
  return new Map<string, unknown>([
    ...Object.entries(info),
    ['arguments', args],
    ['connection', connection],
    ['raw', { data: { ...raw.data, arguments: args } }],
    ...Object.entries({ COUNTER, replay, cursor, interruptionRegistry, patchMarkers: {} }),
    ['activityInterceptorService', service],
  ]);
}

function argumentsIn(context: WorkflowContextMap): unknown[] {
  const args: unknown = context.get('arguments');
  if (Array.isArray(args)) return args;
  throw new InvalidArgumentError(
    `interceptor: arguments must stay an array; got ${args === null ? 'null' : typeof args}`,
  );
}
