/** Going back to a point of a workflow's history: reset, fork, retry. */

import * as v from 'valibot';
import { decodeFailure } from '../codec/failure-text.js';
import type { Seal } from '../codec/payload-codec.js';
import { DuplicateJobError, GetStateError, InvalidArgumentError, OperationRefusedError } from '../core/errors.js';
import type { LifecycleEvents } from '../core/lifecycle-events.js';
import { identifier, parseOptions, text, wholeNumber } from '../core/options.js';
import { randomNumber } from '../postgres/protocol/commit.js';
import type { Description } from '../postgres/protocol/executions.js';
import type { ResetAnswer, ResetRequest } from '../postgres/protocol/operations.js';
import type { HistoryRow } from '../postgres/protocol/threads.js';
import { entryOfEvent } from './execution-export.js';
import { failedStep } from './failed-step.js';
import type { Link } from './link.js';
import { planReset } from './reset-plan.js';

/** Options of `handle.reset`. */
export interface ResetOptions {
  /** The last event that stays, as `exportExecution()` numbers them, with all that became durable together with it. */
  readonly eventId?: number;
  /** Or the last entry of its history that stays, from 0, as errors and `explain()` number them; -1 begins from the start. */
  readonly toEntry?: number;
  /** Why, for people. Default: none. */
  readonly reason?: string;
  /** Forks: the new run gets this id, and the original goes on, or stays as it ended. Default: its own id. */
  readonly workflowId?: string;
}

/** Options of `handle.retry`. */
export type RetryWorkflowOptions = Pick<ResetOptions, 'reason'>;

const resetOptions = v.strictObject({
  eventId: v.optional(wholeNumber(1)),
  toEntry: v.optional(wholeNumber(-1)),
  reason: v.optional(text),
  workflowId: v.optional(identifier),
});
const retryOptions = v.strictObject({ reason: v.optional(text) });

/** Whom it is about: a workflow, or the chain of one. */
export interface ResetTarget {
  readonly workflowId: string;
  readonly chainNo: number | null;
  /** Only while this is its newest run. */
  readonly runNo?: number;
  /** Recognises the call when it is made again. Default: random. */
  readonly requestNo?: number;
  /** Who is told that one run ended and another began; null: nobody. */
  readonly events: LifecycleEvents | null;
}

/** What came of it. */
export interface ResetResult {
  readonly workflowId: string;
  readonly chainNo: number;
  /** `again`: a call with this request number did it before. */
  readonly status: 'reset' | 'again';
}

/** How often a run that takes signals meanwhile is looked at again. */
const TRIES = 20;

export async function resetRun(
  link: Link,
  seal: Seal,
  target: ResetTarget,
  options: ResetOptions,
): Promise<ResetResult> {
  const given = parseOptions('reset', resetOptions, options);
  const { eventId, reason = null, workflowId = target.workflowId } = given;
  if ((eventId === undefined) === (given.toEntry === undefined))
    throw new InvalidArgumentError(
      'reset: either eventId or toEntry must be given: the last event or entry that stays',
    );
  const fork = workflowId === target.workflowId ? null : workflowId;
  return await goBack(link, target, { cause: 'reset', reason, workflowId: fork }, async (run, rows) => {
    const toEntry = given.toEntry ?? (await entryOfEvent({ link, seal }, target.workflowId, run, eventId ?? 0));
    if (toEntry === null) {
      const message = `Job ${target.workflowId} has no event ${eventId} in the main function of its last run; see exportExecution()`;
      throw new OperationRefusedError(target.workflowId, 'entry', message);
    }
    const last = rows.filter(({ closes }) => !closes).length - 1;
    if (toEntry > last) {
      const stands = last < 0 ? 'it has none yet: only -1 is possible' : `the last one is ${last}`;
      const message = `Job ${target.workflowId} has no entry ${toEntry} to go back to; ${stands}`;
      throw new OperationRefusedError(target.workflowId, 'entry', message);
    }
    return { run, keep: toEntry + 1, keepOutcomes: false };
  });
}

export async function retryRun(
  link: Link,
  seal: Seal,
  target: ResetTarget,
  options: RetryWorkflowOptions,
): Promise<ResetResult> {
  const { reason = null } = parseOptions('retry', retryOptions, options);
  return await goBack(link, target, { cause: 'retried', reason, workflowId: null }, async (run, rows) => {
    if (run.state !== 'failed' || run.result === null) throw refusal(target.workflowId, 'not failed');
    const { keep, childIds } = failedStep(rows, decodeFailure(run.result, seal), seal);
    for (const childId of childIds)
      await retryFailedChild(link, seal, { workflowId: childId, events: target.events }, reason);
    return { run, keep, keepOutcomes: true };
  });
}

/** The child first: the run that is made then awaits its new run, and nothing is lost when we stop in between. */
async function retryFailedChild(
  link: Link,
  seal: Seal,
  target: Pick<ResetTarget, 'workflowId' | 'events'>,
  reason: string | null,
): Promise<void> {
  const child = await link.describe(target.workflowId, null);
  if (child?.state !== 'failed') return;
  await retryRun(link, seal, { ...target, chainNo: child.chain_no }, reason === null ? {} : { reason });
}

interface Cut {
  readonly run: Description;
  readonly keep: number;
  readonly keepOutcomes: boolean;
}

async function goBack(
  link: Link,
  { workflowId, chainNo, runNo, requestNo = randomNumber(), events }: ResetTarget,
  call: Pick<ResetRequest, 'cause' | 'reason' | 'workflowId'>,
  cut: (run: Description, rows: readonly HistoryRow[]) => Cut | Promise<Cut>,
): Promise<ResetResult> {
  for (let tries = 1; ; tries++) {
    const run = await link.describe(workflowId, chainNo);
    if (run === null) throw new GetStateError(workflowId);
    if (run.state === 'pending') throw refusal(workflowId, 'pending');
    if (runNo !== undefined && run.run_no !== runNo) throw refusal(workflowId, 'superseded');
    const rows = await link.history(run.run_no);
    const { keep, keepOutcomes } = await cut(run, rows);
    const plan = planReset(rows, keep, keepOutcomes);
    if (plan.awaitsHookElsewhere) {
      const message = `Job ${workflowId} awaits a hook in another workflow behind entry ${keep - 1}; go back to where it did not`;
      throw new OperationRefusedError(workflowId, 'entry', message);
    }
    // A fork takes nothing from its original.
    const signals = call.workflowId === null ? plan.signals : [];
    const answer = await link.reset({ ...plan, ...call, signals, requestNo, runNo: run.run_no }, events);
    const { status, chain_no } = answer;
    if (chain_no !== null && (status === 'reset' || status === 'again'))
      return { workflowId: call.workflowId ?? workflowId, chainNo: chain_no, status };
    if (answer.status === 'unknown') throw new GetStateError(workflowId);
    if (answer.status === 'duplicate') throw new DuplicateJobError(call.workflowId ?? workflowId);
    if (answer.status !== 'moved' || tries === TRIES) throw refusal(workflowId, answer.status);
  }
}

function refusal(workflowId: string, status: ResetAnswer['status']): OperationRefusedError {
  switch (status) {
    case 'pending':
      return new OperationRefusedError(
        workflowId,
        'pending',
        `Job ${workflowId} is only reserved: it has no history yet`,
      );
    case 'not failed':
      return new OperationRefusedError(
        workflowId,
        'not failed',
        `Job ${workflowId} did not fail: use reset to go back to a point of its history`,
      );
    case 'child':
      return new OperationRefusedError(
        workflowId,
        'child',
        `Job ${workflowId} awaits a child there that is under way, which a fork cannot share; fork before the child, or when it has ended`,
      );
    case 'moved':
      return new OperationRefusedError(
        workflowId,
        'busy',
        `Job ${workflowId} takes signals faster than it can be copied; pause it first`,
      );
    default:
      return new OperationRefusedError(
        workflowId,
        'superseded',
        `Job ${workflowId} has a newer run: get a handle of that, with getHandle`,
      );
  }
}
