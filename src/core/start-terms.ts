/**
 * The terms of a start: what clients and workflows say alike beyond what to run. Policies for an id that is taken, a delay,
 * timeouts. They travel as JSON, so that an ordinary start carries none of them: see sql/functions/start_on_terms.sql.
 */
import * as v from 'valibot';
import { choice, interval, limit } from './options.js';
import { refusal } from './refusal.js';

/** What to do with an id whose workflow has ended, in the words Temporal uses. */
export type WorkflowIdReusePolicy = 'ALLOW_DUPLICATE' | 'ALLOW_DUPLICATE_FAILED_ONLY' | 'REJECT_DUPLICATE';

/** What to do with an id whose workflow runs. */
export type WorkflowIdConflictPolicy = 'FAIL' | 'USE_EXISTING' | 'TERMINATE_EXISTING';

/** What becomes of a child when its parent has ended. */
export type ParentClosePolicy = 'ABANDON' | 'TERMINATE' | 'REQUEST_CANCEL';

export interface StartTerms {
  /**
   * What to do when the id's workflow has ended: `'REJECT_DUPLICATE'` throws, `'ALLOW_DUPLICATE'` begins a new one under the
   * same id, `'ALLOW_DUPLICATE_FAILED_ONLY'` does so unless it completed. Default `'REJECT_DUPLICATE'`; `'ALLOW_DUPLICATE'`
   * with `workflowIdConflictPolicy: 'TERMINATE_EXISTING'`.
   */
  readonly workflowIdReusePolicy?: WorkflowIdReusePolicy;
  /**
   * What to do when the id's workflow runs: `'FAIL'` throws, `'USE_EXISTING'` starts nothing and answers with what runs,
   * `'TERMINATE_EXISTING'` ends that and begins a new one, in one transaction. Default `'FAIL'`.
   */
  readonly workflowIdConflictPolicy?: WorkflowIdConflictPolicy;
  /**
   * How long its first line is put off, as `'5 minutes'` or in ms. Default: not at all. A cancel request does not wait for it;
   * signals do. Timeouts count from its end.
   */
  readonly startDelay?: string | number;
  /**
   * How long the workflow may take in all, with its retries and all runs of `continueAsNew`, as `'1 hour'` or in ms. Behind it
   * the workflow fails with `DurableTimeoutError`. Default: for ever.
   */
  readonly workflowExecutionTimeout?: string | number;
  /** How long one run may take, with its retries; the next run of `continueAsNew` has as long again. Default: for ever. */
  readonly workflowRunTimeout?: string | number;
}

/** Fields of {@link StartTerms}, to be made into the shape of a call. */
export const termFields = {
  workflowIdReusePolicy: v.optional(
    choice(['ALLOW_DUPLICATE', 'ALLOW_DUPLICATE_FAILED_ONLY', 'REJECT_DUPLICATE'], {
      TERMINATE_IF_RUNNING: "That is workflowIdConflictPolicy: 'TERMINATE_EXISTING'",
    }),
  ),
  workflowIdConflictPolicy: v.optional(choice(['FAIL', 'USE_EXISTING', 'TERMINATE_EXISTING'])),
  startDelay: v.optional(interval),
  workflowExecutionTimeout: v.optional(limit),
  workflowRunTimeout: v.optional(limit),
} as const;

export const parentClosePolicy = choice(['ABANDON', 'TERMINATE', 'REQUEST_CANCEL']);

/** As the database reads them; durations in ms. Only what differs from an ordinary start. */
export interface StoredTerms {
  readonly reuse?: WorkflowIdReusePolicy;
  readonly conflict?: WorkflowIdConflictPolicy;
  readonly pendingMs?: number;
  readonly delayMs?: number;
  readonly executionTimeoutMs?: number;
  readonly runTimeoutMs?: number;
  readonly onParentClose?: 'terminate' | 'cancel';
  /** A signal that goes along: its id, its encoded payload, how long it is kept. */
  readonly signalId?: string;
  readonly payload?: string;
  readonly expireMs?: number;
}

/** The fields of {@link termFields}, as they come out of the door. */
export interface GivenTerms {
  readonly workflowIdReusePolicy?: WorkflowIdReusePolicy | undefined;
  readonly workflowIdConflictPolicy?: WorkflowIdConflictPolicy | undefined;
  readonly startDelay?: number | undefined;
  readonly workflowExecutionTimeout?: number | undefined;
  readonly workflowRunTimeout?: number | undefined;
}

/**
 * What of a start is not ordinary; null when all is.
 *
 * @param more Terms that only some calls know.
 * @throws {InvalidArgumentError} for policies that contradict each other.
 */
export function storedTerms(call: string, given: GivenTerms, more: StoredTerms = {}): StoredTerms | null {
  const { workflowIdReusePolicy: reuse, workflowIdConflictPolicy: conflict } = given;
  if (reuse === 'REJECT_DUPLICATE' && conflict === 'TERMINATE_EXISTING') {
    const must =
      "'ALLOW_DUPLICATE' or 'ALLOW_DUPLICATE_FAILED_ONLY' with workflowIdConflictPolicy: 'TERMINATE_EXISTING'";
    const todo = 'What is terminated has ended: a new workflow would be refused behind it';
    throw refusal(call, 'workflowIdReusePolicy', { must, todo }, reuse);
  }
  const terms: StoredTerms = {
    ...(reuse !== undefined && reuse !== 'REJECT_DUPLICATE' && { reuse }),
    ...(conflict !== undefined && conflict !== 'FAIL' && { conflict }),
    ...(given.startDelay && { delayMs: given.startDelay }),
    ...(given.workflowExecutionTimeout !== undefined && { executionTimeoutMs: given.workflowExecutionTimeout }),
    ...(given.workflowRunTimeout !== undefined && { runTimeoutMs: given.workflowRunTimeout }),
    ...more,
  };
  return Object.keys(terms).length === 0 ? null : terms;
}
