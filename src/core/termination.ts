/** Terminating a workflow, from outside (handle) or by another workflow. */

import * as v from 'valibot';
import { GetStateError, InactiveJobError } from './errors.js';
import type { Failure } from './failure.js';
import { flag, parseOptions, seconds, text } from './options.js';

/** Options of `handle.terminate` and of `workflow.terminate`. */
export interface TerminateOptions {
  /** Message of the error that `result()` rejects with. Default: `job [<id>] interrupted`. */
  readonly reason?: string;
  /** Its code. Default: 410. */
  readonly code?: number;
  /** Its stack, for people. Default: none. */
  readonly stack?: string;
  /** `false`: no error is stored, `result()` resolves to undefined. Default: true. */
  readonly throw?: boolean;
  /** Whether it is fine that there is nothing to end: no error when it is unknown or has ended. Default: false. */
  readonly suppress?: boolean;
  /** Seconds it stays readable. Default: what it was started with. */
  readonly expire?: number;
  /**
   * Whether the children it started, awaited or not, end too, and theirs, through all generations; with the same reason,
   * code and `expire`. Each generation ends in transactions of its own. Default: false.
   */
  readonly descend?: boolean;
}

const terminateOptions = v.strictObject({
  reason: v.optional(text),
  code: v.optional(v.pipe(v.number('a whole number'), v.integer('a whole number'))),
  stack: v.optional(text),
  throw: v.optional(flag),
  suppress: v.optional(flag),
  expire: v.optional(seconds),
  descend: v.optional(flag),
});

export interface Termination {
  /** What whoever waits for the workflow gets; null: nothing. */
  readonly failure: Failure | null;
  readonly expireS: number | null;
  readonly descend: boolean;
  readonly suppress: boolean;
}

/** @throws {InvalidArgumentError} for options that make no sense. */
export function resolveTermination(call: string, workflowId: string, options: TerminateOptions): Termination {
  const given = parseOptions(call, terminateOptions, options);
  const failure: Failure = {
    name: 'TerminatedError',
    type: 'TerminatedError',
    message: given.reason ?? `job [${workflowId}] interrupted`,
    code: given.code ?? 410,
    stack: given.stack ?? '',
    job_id: workflowId,
    nonRetryable: true,
  };
  return {
    failure: given.throw === false ? null : failure,
    expireS: given.expire ?? null,
    descend: given.descend ?? false,
    suppress: given.suppress ?? false,
  };
}

/** The error of a termination that found nothing to end. */
export function terminationError(workflowId: string, status: 'unknown' | 'completed'): Error {
  return status === 'unknown'
    ? new GetStateError(workflowId, `Job ${workflowId} not found`)
    : new InactiveJobError(workflowId, `Job ${workflowId} already completed`);
}
