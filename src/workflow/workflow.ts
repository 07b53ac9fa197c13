/**
 * What a workflow function may call. Older names are aliases of the newer ones. `Durable.workflow` is this and what needs a
 * client as well: src/workflow.ts.
 */

import { CancelledFailure } from '../core/errors.js';
import { CancellationScope, isCancellation } from './cancellation.js';
import { executeChild, startChild } from './child.js';
import { condition, type WaitFor } from './condition.js';
import { continueAsNew } from './continue-as-new.js';
import { emit } from './emit.js';

import { entity } from './entity.js';
import { execHook, execHookBatch, hook } from './hook.js';
import { workflowInfo } from './info.js';
import { log } from './log.js';
import { deprecatePatch, patched } from './patched.js';
import { proxyActivities } from './proxy-activities.js';
import { now, random, uuid4 } from './random.js';
import { run } from './run.js';
import { enrich, search } from './search.js';
import { didRun, isSideEffectAllowed } from './side-effects.js';
import { signal } from './signal.js';
import { sleep } from './sleep.js';
import { terminate } from './terminate.js';
import { trace } from './trace.js';

/**
 * Whether an error is control flow of the engine, which user code should pass on. Only a cancellation is: nothing is
 * thrown to suspend, and final failures of activities and children are yours to catch.
 */
export const didInterrupt = isCancellation;

/** Waits for all, like `Promise.all`, but takes them as arguments. */
function all<T extends readonly unknown[]>(...promises: T): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  return Promise.all(promises) as Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }>;
}

export const workflow = {
  proxyActivities,
  run,
  sleep,
  condition,
  signal,
  emit,
  trace,
  search,
  enrich,
  entity,
  executeChild,
  startChild,
  hook,
  execHook,
  execHookBatch,
  continueAsNew,
  terminate,
  patched,
  deprecatePatch,
  random,
  uuid4,
  now,
  all,
  workflowInfo,
  log,
  CancellationScope,
  CancelledFailure,
  isCancellation,
  didInterrupt,
  didRun,
  isSideEffectAllowed,
  // the older generation
  sleepFor: sleep,
  waitFor: condition as WaitFor,
  execChild: executeChild,
  getContext: workflowInfo,
  interrupt: terminate,
} as const;
