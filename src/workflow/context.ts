/**
 * Which execution a durable call belongs to. It travels with the async context, so helpers, closures and generators
 * need no handle passed along.
 */

import { carried } from '../context/carried.js';
import { SharedPromiseError, WorkflowContextError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import type { Instance } from '../replay/instance.js';
import { type CallScope, type Cancellable, WORKFLOW_SCOPE } from '../replay/pending-operation.js';

/** A cancellation scope, as calls made in it see it. */
export interface ScopeHere extends CallScope {
  /** False: calls in it are shielded from whatever cancels the scopes around it. */
  readonly cancellable: boolean;
}

/** An activity call as interceptors see and change it; its options are those of `proxyActivities`. */
export interface InterceptedCall {
  activityName: string;
  args: unknown[];
  options: object;
}

/** Takes a call through the outbound interceptors that are further in than the code that makes it, then sends it. */
export type Intercept = (call: InterceptedCall, send: () => Promise<unknown>) => Promise<unknown>;

/** Told of calls that workflow code should not make: see worker/determinism-guard.ts. */
export interface Watch {
  met(call: string, instead: string, wrapper: (...args: never[]) => unknown): void;
}

/** The worker that a workflow runs in, as far as its code can see it. */
export interface WorkerHome {
  /** As the worker was given it. */
  readonly connection: unknown;
  /** Where `workflow.log` writes to. */
  readonly logger: Logger;
  /** Has `end` called when the worker stops. */
  atEnd(end: () => Promise<void>): void;
}

interface WorkflowContext {
  readonly instance: Instance;
  readonly home: WorkerHome | null;
  /** The innermost scope; null: the workflow's own. */
  readonly scope: ScopeHere | null;
  /** Null in a workflow without outbound interceptors. */
  readonly intercept: Intercept | null;
  /** Null where nobody watches. */
  readonly watch: Watch | null;
}

/** The workflow that the current async context belongs to. */
function here(): WorkflowContext | undefined {
  const found = carried.getStore();
  return found !== undefined && 'instance' in found ? (found as WorkflowContext) : undefined;
}

/** Runs a workflow function as `instance`. */
export function runAs<T>(
  instance: Instance,
  run: () => T,
  watch: Watch | null = null,
  home: WorkerHome | null = null,
): T {
  return carried.run({ instance, home, scope: null, intercept: null, watch } satisfies WorkflowContext, run);
}

/** Runs `run`, of the same workflow, in `scope`. */
export function runInScope<T>(scope: ScopeHere | null, run: () => T): T {
  const context = here();
  return context === undefined ? run() : carried.run({ ...context, scope }, run);
}

/** Runs `run`, of the same workflow, so that the activity calls in it are intercepted. */
export function runIntercepted<T>(intercept: Intercept | null, watch: Watch | null, run: () => T): T {
  const context = here();
  return context === undefined ? run() : carried.run({ ...context, intercept, watch }, run);
}

/** Who watches the workflow code that runs; null outside of workflows, and behind their end. */
export function watchHere(): Watch | null {
  const context = here();
  return context === undefined || context.watch === null || context.instance.ended ? null : context.watch;
}

/** The worker that the current async context's workflow runs in; null where none does. */
export function homeHere(): WorkerHome | null {
  return here()?.home ?? null;
}

/** The execution the current async context belongs to, or undefined. */
export function instanceHere(): Instance | undefined {
  return here()?.instance;
}

/**
 * The execution a durable call belongs to, and what may cancel it.
 *
 * @param call The function as the user wrote it.
 * @param bound The execution that a proxy, session or scope was made in.
 * @throws {WorkflowContextError} outside a workflow.
 * @throws {SharedPromiseError} when a proxy, session or scope made in one execution is used in another, and when the code
 *   goes on because of another execution.
 */
export function contextOf(
  call: string,
  bound?: Instance,
): { instance: Instance; cancellable: Cancellable; scope: ScopeHere | null; intercept: Intercept | null } {
  const context = here();
  if (context === undefined) throw new WorkflowContextError(call);
  const { instance, scope, intercept } = context;
  if (bound !== undefined && bound !== instance && !bound.ended) throw new SharedPromiseError(call);
  if (instance.wokenByAnother) throw new SharedPromiseError(call, 'woken');
  return { instance, cancellable: scope === null ? WORKFLOW_SCOPE : scope.cancellable && scope, scope, intercept };
}
