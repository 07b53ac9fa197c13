/**
 * A promise that user code left unawaited may reject: in Node that ends the process, and with it every other workflow.
 * A stray rejection inside a workflow or an activity harms nobody: it is logged. Any other ends the process as always,
 * unless the program listens itself.
 */

import { activityHere } from '../activity/context.js';
import type { Logger } from '../core/logger.js';
import { nameOfError } from '../core/name-of-error.js';
import { instanceHere } from '../workflow/context.js';

let logger: Logger | null = null;

export function watchStrayRejections(to: Logger): void {
  if (logger === null) process.on('unhandledRejection', heard);
  logger = to;
}

/** Node runs this in the async context of the rejected promise. */
function heard(reason: unknown): void {
  const instance = instanceHere();
  const activity = activityHere();
  if (instance === undefined && activity === undefined) {
    if (process.listenerCount('unhandledRejection') > 1) return;
    throw reason;
  }
  const workflowId = instance?.info.workflowId ?? activity?.workflowId;
  // Not its message: it is the user's text, and whether a codec hides such is not known here.
  logger?.warn({ workflowId, errorName: nameOfError(reason) }, 'a promise that nothing awaited was rejected');
}
