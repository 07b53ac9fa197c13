import { CancelledFailure } from '../core/errors.js';
import { contextOf, runShielded } from './context.js';

/**
 * Whether an error means that the workflow was asked to cancel.
 *
 * @example
 * try {
 *   await Durable.workflow.sleep('1 day');
 * } catch (error) {
 *   if (!Durable.workflow.isCancellation(error)) throw error;
 *   await Durable.workflow.CancellationScope.nonCancellable(() => refund(orderId));
 * }
 */
export function isCancellation(error: unknown): error is CancelledFailure {
  return error instanceof CancelledFailure;
}

/** Decides which durable calls cancelling the workflow reaches. */
export const CancellationScope = {
  /** Runs `run` so that cancelling does not reach the durable calls made in it, however deep. */
  nonCancellable<T>(run: () => Promise<T>): Promise<T> {
    contextOf('CancellationScope.nonCancellable');
    return runShielded(run);
  },
};
