/** `client.workflow.bulk`: what is done to one workflow, done to all that a filter selects. */

import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { encodeFailure } from '../codec/failure-text.js';
import type { Seal } from '../codec/payload-codec.js';
import {
  ConnectionError,
  GetStateError,
  InactiveJobError,
  InvalidArgumentError,
  OperationRefusedError,
} from '../core/errors.js';
import {
  type ExecutionFilter,
  type ExecutionStatus,
  resolveFilter,
  type StoredFilter,
} from '../core/execution-filter.js';
import type { LifecycleEvents } from '../core/lifecycle-events.js';
import { callback, flag, identifier, parseOptions, text, wholeNumber } from '../core/options.js';
import { inWords } from '../core/refused-option.js';
import { resolveTermination, type TerminateOptions } from '../core/termination.js';
import { randomNumber } from '../postgres/protocol/commit.js';
import type { ListedExecution } from '../postgres/protocol/visibility.js';
import type { Reach } from './execution-list.js';
import type { Link } from './link.js';
import { pauseWorkflow, resumeWorkflow } from './pause.js';
import { resetRun, retryRun } from './reset.js';

/** Options of every call of `client.workflow.bulk`. */
export interface BulkOptions {
  /** Only says what would be selected: nothing is changed. Default false. */
  readonly dryRun?: boolean;
  /** At most this many workflows. Default: all. */
  readonly limit?: number;
  /** Where a call that broke off goes on: the `cursor` that `onPage` was given last. Default: with the newest. */
  readonly cursor?: string | null;
  /** Called behind each page of 100. Keep its `cursor` where the work must survive this process. */
  readonly onPage?: (progress: BulkResult) => void;
  /** Default: the client's. */
  readonly namespace?: string;
}

/** Options of `bulk.reset`. */
export interface BulkResetOptions extends BulkOptions {
  /** The last entry that stays, as in `handle.reset`; -1 begins from the start. */
  readonly toEntry: number;
  /** Why, for people. Default: none. */
  readonly reason?: string;
  /**
   * Names this call: made again under the same name, it passes over (`unchanged`) what it went back in before, by whichever process.
   * (Among `failures`, unchanged too: what has since gone on in a run that has no such entry.) Default: none, then each call goes back anew.
   */
  readonly requestId?: string;
}

/** What a bulk call has done, or with `dryRun` would do. */
export interface BulkResult {
  /** How many the filter selected. */
  readonly matched: number;
  /** How many of these were changed; with `dryRun` 0. */
  readonly done: number;
  /** How many were passed over, since they had ended or changed meanwhile, or were so already. */
  readonly unchanged: number;
  /** How many it could not be done to. */
  readonly failed: number;
  /** The ids of those that were changed (with `dryRun`: selected), newest first; the first 1,000 of them. */
  readonly ids: readonly string[];
  /** Why it could not be done; the first 1,000. */
  readonly failures: readonly { readonly workflowId: string; readonly error: Error }[];
  /** Where the next page begins; null behind the last one. */
  readonly cursor: string | null;
}

const optionFields = {
  dryRun: v.optional(flag),
  limit: v.optional(wholeNumber(1)),
  cursor: v.optional(
    v.nullable(
      v.custom<string>(
        (value) => typeof value === 'string' && /^[1-9]\d{0,15}$/.test(value),
        inWords({ must: 'a cursor that onPage was given' }),
      ),
    ),
  ),
  onPage: v.optional(callback),
  namespace: v.optional(text),
};
const plainShape = v.strictObject(optionFields);
const reasonShape = v.strictObject({ ...optionFields, reason: v.optional(text) });
const resetShape = v.strictObject({
  ...optionFields,
  toEntry: wholeNumber(-1),
  reason: v.optional(text),
  requestId: v.optional(identifier),
});
/** The termination's own options are checked where those of `handle.terminate` are. */
const terminateFields = ['reason', 'code', 'stack', 'throw', 'expire', 'descend'] as const;
const terminateShape = v.strictObject({
  ...optionFields,
  ...Object.fromEntries(terminateFields.map((field) => [field, v.optional(v.unknown())])),
});

const PAGE = 100;
/** How many are under way at a time: other calls of the client go out between them. */
const AT_ONCE = 10;
const all = () => true;
/** As many as a page of the database holds: while these are read, little changes. */
const FOLLOWED_PAGE = 1_000;
const MAX_TOLD = 1_000;

/** What these calls ask of the client they are from. */
export interface BulkPort {
  readonly reach: Reach;
  seal(): Seal;
  /** Who is told of what ends and begins in a namespace; null: nobody. */
  events(namespace: string): LifecycleEvents | null;
}

/** @returns whether it changed anything. */
type Act = (link: Link, execution: ListedExecution) => Promise<boolean>;

interface Call {
  readonly name: string;
  readonly filter: StoredFilter;
  readonly options: v.InferOutput<typeof plainShape>;
  readonly act: Act;
  /** Which of those that go on in a new run (continueAsNew) while it is at work it is for, too. Default: none. */
  readonly follows?: (execution: ListedExecution) => boolean;
}

export function bulkCalls({ reach, seal, events }: BulkPort) {
  const run = (call: Call) => inPages(reach, call);
  return {
    /**
     * Pauses the open workflows that a filter selects, each as `handle.pause`.
     *
     * Like all calls here it goes through pages, newest first; what is started meanwhile is not touched, but what goes on in a new run
     * (continueAsNew) is, by `pause`, `cancel` and `terminate`. Each workflow is changed in a
     * transaction of its own; one that ended or changed meanwhile is passed over. A call that broke off is made again, from
     * the start or from the last `cursor`: nothing is done twice.
     *
     * @throws {InvalidArgumentError} for conditions and options it does not know, before anything is done.
     * @throws {ConnectionError} when the database did not answer for 30 s; what was done stays.
     *
     * @example
     * const { matched, ids } = await client.workflow.bulk.pause({ workflowName: 'order' }, { dryRun: true });
     */
    pause: async (
      filter: ExecutionFilter,
      options: BulkOptions & { readonly reason?: string } = {},
    ): Promise<BulkResult> => {
      const { reason, ...rest } = parseOptions('bulk.pause', reasonShape, options);
      const pause: Act = (link, { workflow_id }) =>
        pauseWorkflow(link, workflow_id, reason === undefined ? {} : { reason });
      // what is no filter must not come to mean all: it is looked at before anything is added to it
      const stored = { paused: false, ...selected('bulk.pause', filter, 'open') };
      return await run({ name: 'bulk.pause', filter: stored, options: rest, act: pause, follows: all });
    },

    /** Resumes workflows, each as `handle.resume`: those that are paused, unless the filter says `paused`, `blocked` or `quarantined` itself. */
    resume: async (filter: ExecutionFilter, options: BulkOptions = {}): Promise<BulkResult> => {
      const name = 'bulk.resume';
      const rest = parseOptions(name, plainShape, options);
      const given = selected(name, filter, 'open');
      const says = ['paused', 'blocked', 'quarantined'].some((key) => key in given);
      const which = says ? given : { ...given, paused: true };
      const resume: Act = (link, { workflow_id }) => resumeWorkflow(link, workflow_id);
      return await run({ name, filter: which, options: rest, act: resume });
    },

    /** Asks the open workflows to cancel, each as `handle.cancel`. */
    cancel: async (filter: ExecutionFilter, options: BulkOptions = {}): Promise<BulkResult> => {
      const name = 'bulk.cancel';
      const rest = parseOptions(name, plainShape, options);
      const cancel: Act = async (link, execution) => {
        if (execution.cancel_requested) return false;
        return await link.cancel(execution.workflow_id, execution.chain_no);
      };
      const follows = ({ cancel_requested }: ListedExecution) => !cancel_requested;
      return await run({ name, filter: selected(name, filter, 'open'), options: rest, act: cancel, follows });
    },

    /** Terminates the open workflows, each as `handle.terminate` with these options. */
    terminate: async (
      filter: ExecutionFilter,
      options: BulkOptions & Omit<TerminateOptions, 'suppress'> = {},
    ): Promise<BulkResult> => {
      const name = 'bulk.terminate';
      const given = parseOptions(name, terminateShape, options);
      const how = Object.fromEntries(
        terminateFields
          .filter((field) => field in given)
          .map((field) => [field, (given as Record<string, unknown>)[field]]),
      ) as TerminateOptions;
      resolveTermination(name, '', how);
      const terminate: Act = async (link, { workflow_id, chain_no }) => {
        const { failure, expireS, descend } = resolveTermination(name, workflow_id, how);
        const request = {
          requestNo: randomNumber(),
          workflowId: workflow_id,
          chainNo: chain_no,
          failure: failure === null ? null : encodeFailure(failure, seal()),
          expireS,
          descend,
        };
        const told = events(link.namespace);
        const status = await link.terminate(request, told);
        if (descend) await link.descend(told);
        return status === 'terminated' || status === 'again';
      };
      return await run({ name, filter: selected(name, filter, 'open'), options: given, act: terminate, follows: all });
    },

    /**
     * Goes back to one entry in each of the workflows, open or ended, as `handle.reset`. What was reset matches a filter as before: give
     * the call a `requestId` where it may be made again, and it goes back once in each workflow (as long as that run is kept).
     */
    reset: async (filter: ExecutionFilter, options: BulkResetOptions): Promise<BulkResult> => {
      const name = 'bulk.reset';
      const { toEntry, reason, requestId, ...rest } = parseOptions(name, resetShape, options);
      const reset: Act = async (link, { workflow_id, run_no }) => {
        const request = requestId === undefined ? {} : { requestNo: requestNumber(requestId, workflow_id) };
        const run = { workflowId: workflow_id, chainNo: null, runNo: run_no };
        const target = { ...run, ...request, events: events(link.namespace) };
        const { status } = await resetRun(link, seal(), target, { toEntry, ...(reason !== undefined && { reason }) });
        return status === 'reset';
      };
      return await run({ name, filter: resolveFilter(name, filter), options: rest, act: reset });
    },

    /** Retries the failed workflows from the steps that failed, each as `handle.retry`. */
    retry: async (
      filter: ExecutionFilter,
      options: BulkOptions & { readonly reason?: string } = {},
    ): Promise<BulkResult> => {
      const name = 'bulk.retry';
      const { reason, ...rest } = parseOptions(name, reasonShape, options);
      const retry: Act = async (link, { workflow_id, run_no }) => {
        const target = { workflowId: workflow_id, chainNo: null, runNo: run_no, events: events(link.namespace) };
        await retryRun(link, seal(), target, reason === undefined ? {} : { reason });
        return true;
      };
      return await run({ name, filter: selected(name, filter, 'failed'), options: rest, act: retry });
    },
  };
}

/** The same for the same call and workflow: the new run carries it. 48 bits, as of those that are drawn. */
function requestNumber(requestId: string, workflowId: string): number {
  return createHash('sha256')
    .update(JSON.stringify([requestId, workflowId]))
    .digest()
    .readUIntBE(0, 6);
}

/** @throws {InvalidArgumentError} when the filter asks for a status to which this cannot be done. */
function selected(call: string, filter: ExecutionFilter, status: ExecutionStatus): StoredFilter {
  const stored = resolveFilter(call, filter);
  if (stored.status?.some((one) => one !== status))
    throw new InvalidArgumentError(`${call}: status must be '${status}' or left out; got ${stored.status.join(', ')}`);
  return { ...stored, status: [status] };
}

async function inPages(reach: Reach, { filter, options, act, follows }: Call): Promise<BulkResult> {
  const { dryRun = false, limit = Infinity, cursor = null, namespace } = options;
  const onPage = options.onPage as BulkOptions['onPage'];
  const link = await reach(namespace);
  const ids: string[] = [];
  const failures: { workflowId: string; error: Error }[] = [];
  const result = { matched: 0, done: 0, unchanged: 0, failed: 0, ids, failures, cursor };
  const told = () => onPage?.({ ...result });
  const deal = async (execution: ListedExecution) => {
    const outcome = dryRun ? 'unchanged' : await outcomeOf(act, link, execution);
    const what = outcome instanceof Error ? 'failed' : outcome;
    if (!dryRun) result[what]++;
    if (outcome instanceof Error) {
      if (failures.length < MAX_TOLD) failures.push({ workflowId: execution.workflow_id, error: outcome });
    } else if ((dryRun || what === 'done') && ids.length < MAX_TOLD) ids.push(execution.workflow_id);
  };
  const dealAll = async (page: readonly ListedExecution[]) => {
    for (let at = 0; at < page.length; at += AT_ONCE) await Promise.all(page.slice(at, at + AT_ONCE).map(deal));
    result.matched += page.length;
  };
  let newest = cursor === null ? null : Number(cursor);
  do {
    const after = result.cursor === null ? null : Number(result.cursor);
    const size = Math.min(PAGE, limit - result.matched);
    const page = await link.listExecutions(filter, { after, limit: size });
    newest ??= page[0]?.run_no ?? 0;
    await dealAll(page);
    result.cursor = page.length < size ? null : String(page.at(-1)?.run_no);
    told();
  } while (result.cursor !== null && result.matched < limit);
  if (follows === undefined || dryRun) return result;

  for (let seen = newest, before = -1; before < result.done && result.matched < limit; ) {
    before = result.done;
    const later = await continuedSince(link, filter, seen, newest);
    seen = later.newest;
    await dealAll(later.executions.filter(follows).slice(0, limit - result.matched));
    if (before < result.done) told();
  }
  return result;
}

/**
 * What has gone on in a new run while pages were turned, and so was on none of them: runs newer than `seen` of chains that had begun with
 * `newest` or before.
 */
async function continuedSince(
  link: Link,
  filter: StoredFilter,
  seen: number,
  newest: number,
): Promise<{ readonly executions: ListedExecution[]; readonly newest: number }> {
  const executions: ListedExecution[] = [];
  let first = seen;
  for (let after: number | null = null; ; ) {
    const page: ListedExecution[] = await link.listExecutions(filter, { after, limit: FOLLOWED_PAGE });
    if (after === null) first = page[0]?.run_no ?? seen;
    const later = page.filter(({ run_no }) => run_no > seen);
    executions.push(...later.filter(({ chain_no }) => chain_no <= newest));
    if (later.length < FOLLOWED_PAGE) return { executions, newest: first };
    after = page.at(-1)?.run_no ?? null;
  }
}

/** @throws {ConnectionError}: the rest would only wait for it, one by one. */
async function outcomeOf(act: Act, link: Link, execution: ListedExecution): Promise<'done' | 'unchanged' | Error> {
  try {
    return (await act(link, execution)) ? 'done' : 'unchanged';
  } catch (error) {
    if (error instanceof ConnectionError) throw error;
    if (error instanceof GetStateError || error instanceof InactiveJobError) return 'unchanged';
    if (error instanceof OperationRefusedError && changedMeanwhile.has(error.reason)) return 'unchanged';
    return error instanceof Error ? error : new Error(String(error));
  }
}

const changedMeanwhile = new Set(['superseded', 'not failed']);
