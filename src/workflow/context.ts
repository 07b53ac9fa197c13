/**
 * Which execution a durable call belongs to. It travels with the async context, so helpers, closures and generators
 * need no handle passed along.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { SharedPromiseError, WorkflowContextError } from '../core/errors.js';
import type { Instance } from '../replay/instance.js';

/** An activity call as interceptors see and change it; its options are those of `proxyActivities`. */
export interface InterceptedCall {
  activityName: string;
  args: unknown[];
  options: object;
}

/** Takes a call through the outbound interceptors that are further in than the code that makes it, then sends it. */
export type Intercept = (call: InterceptedCall, send: () => Promise<unknown>) => Promise<unknown>;

interface WorkflowContext {
  readonly instance: Instance;
  /** Inside CancellationScope.nonCancellable. */
  readonly shielded: boolean;
  /** Null in a workflow without outbound interceptors. */
  readonly intercept: Intercept | null;
}

const storage = new AsyncLocalStorage<WorkflowContext>();

/** Runs a workflow function as `instance`. */
export function runAs<T>(instance: Instance, run: () => T): T {
  return storage.run({ instance, shielded: false, intercept: null }, run);
}

/** Runs `run` so that cancellation does not reach the durable calls in it. */
export function runShielded<T>(run: () => T): T {
  const context = storage.getStore();
  return context === undefined ? run() : storage.run({ ...context, shielded: true }, run);
}

/** Runs `run`, of the same workflow, so that the activity calls in it are intercepted. */
export function runIntercepted<T>(intercept: Intercept | null, run: () => T): T {
  const context = storage.getStore();
  return context === undefined ? run() : storage.run({ ...context, intercept }, run);
}

/** The execution the current async context belongs to, or undefined. */
export function instanceHere(): Instance | undefined {
  return storage.getStore()?.instance;
}

/**
 * The execution a durable call belongs to, and whether cancelling may reject it.
 *
 * @param call The function as the user wrote it.
 * @param bound The execution that a proxy or session was made in.
 * @throws {WorkflowContextError} outside a workflow.
 * @throws {SharedPromiseError} when a proxy or session made in one execution is used in another.
 */
export function contextOf(
  call: string,
  bound?: Instance,
): { instance: Instance; cancellable: boolean; intercept: Intercept | null } {
  const context = storage.getStore();
  if (context === undefined) throw new WorkflowContextError(call);
  if (bound !== undefined && bound !== context.instance && !bound.ended) {
    throw new SharedPromiseError(call);
  }
  return { instance: context.instance, cancellable: !context.shielded, intercept: context.intercept };
}
