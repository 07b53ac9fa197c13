import * as v from 'valibot';
import { encodeArguments } from '../codec/payload.js';
import { DuplicateJobError } from '../core/errors.js';
import { childError } from '../core/failure.js';
import { fingerprint } from '../core/fingerprint.js';
import type { Event } from '../core/history.js';
import { choice, flag, identifier, identifierOrNone, parseOptions, seconds, text } from '../core/options.js';
import { seededGuid } from '../core/random.js';
import { refusal } from '../core/refusal.js';
import { type RetryOptions, resolveRetryPolicy } from '../core/retry-policy.js';
import { type SearchOptions, searchOption, searchTexts } from '../core/search-fields.js';
import {
  type GivenTerms,
  type ParentClosePolicy,
  parentClosePolicy,
  type StartTerms,
  type StoredTerms,
  storedTerms,
  termFields,
} from '../core/start-terms.js';
import { unawaited } from '../core/unawaited.js';
import type { WorkflowArguments, WorkflowResult } from '../core/workflow-types.js';
import { contextOf } from './context.js';
import { checkOwnNamespace } from './own-namespace.js';

/** Options of {@link executeChild} and {@link startChild}; the same words as `client.workflow.start`. */
export interface ChildWorkflowOptions<W = unknown> extends StartTerms {
  readonly args: WorkflowArguments<W>;
  /** Default: the parent's queue, or `entity`. */
  readonly taskQueue?: string;
  /** The function's name. Default with only `entity` given: the entity. */
  readonly workflowName?: string;
  /** Carries one workflow at a time; `workflowIdReusePolicy` says whether one after the other. Default: generated. */
  readonly workflowId?: string;
  readonly entity?: string;
  readonly search?: SearchOptions;
  /** Seconds the child stays readable once finished. Default: the parent's. */
  readonly expire?: number;
  readonly signalIn?: boolean;
  /** Retries of the child's function. `throwOnError: false`: `executeChild` returns the error instead of throwing it. */
  readonly config?: RetryOptions;
  /** The parent's own: a child runs beside it. */
  readonly namespace?: string;
  /** Accepted for compatibility, without effect: a child belongs to the workflow that starts it, and to its trace. */
  readonly parentWorkflowId?: string;
  readonly originJobId?: string;
  readonly workflowTrace?: string;
  readonly workflowSpan?: string;
  /** Accepted for compatibility, without effect: the call says whether it waits. */
  readonly await?: boolean;
  /** Accepted for compatibility, without effect. */
  readonly persistent?: boolean;
  readonly guid?: string;
  /**
   * What becomes of the child when this workflow has ended, however it did (`continueAsNew` goes on): `'ABANDON'` lets it run,
   * `'TERMINATE'` ends it, `'REQUEST_CANCEL'` asks it to cancel. Soon after that end, by any worker. Default `'ABANDON'`.
   */
  readonly parentClosePolicy?: ParentClosePolicy;
}

const childOptions = v.strictObject({
  args: v.array(v.unknown()),
  taskQueue: v.optional(identifier),
  workflowName: v.optional(identifier),
  workflowId: v.optional(identifierOrNone),
  entity: v.optional(identifier),
  search: v.optional(searchOption),
  expire: v.optional(seconds),
  signalIn: v.optional(flag),
  config: v.optional(v.unknown()),
  namespace: v.optional(text),
  parentWorkflowId: v.optional(identifier),
  originJobId: v.optional(identifier),
  workflowTrace: v.optional(text),
  workflowSpan: v.optional(text),
  await: v.optional(flag),
  persistent: v.optional(flag),
  guid: v.optional(text),
  ...termFields,
  parentClosePolicy: v.optional(parentClosePolicy),
});

/** One that somebody else awaits, or nobody, cannot be awaited here. */
const awaitedChildOptions = v.strictObject({
  ...childOptions.entries,
  workflowIdConflictPolicy: v.optional(
    choice(['FAIL', 'TERMINATE_EXISTING'], { USE_EXISTING: 'Only startChild can use what runs: it awaits nothing' }),
  ),
});

/**
 * Runs another workflow and waits for its result. Scheduling and result are durable; the child outlives this process.
 * `executeChild<typeof ship>` checks `args` by the function and gives its result; `executeChild<Parcel>` names the result only.
 *
 * @returns The child's result; its failure as an `Error` with `config.throwOnError: false`.
 * @throws The child's failure: the class it failed with (`DurableFatalError`, `DurableMaxedError` ...), its message and stack.
 * @throws {DuplicateJobError} when the workflow id is taken, as far as the policies do not allow it.
 * @throws {CancelledFailure} when this workflow is cancelled meanwhile; the child is asked to cancel too.
 *
 * @example
 * const parcel = await Durable.workflow.executeChild<typeof ship>({ workflowName: 'ship', args: [orderId] });
 */
export function executeChild<W = unknown>(options: ChildWorkflowOptions<W>): Promise<WorkflowResult<W>> {
  return unawaited(resultOfChild<WorkflowResult<W>>(options as ChildWorkflowOptions));
}

async function resultOfChild<T>(options: ChildWorkflowOptions): Promise<T> {
  const { event, throwOnError } = await callChild('executeChild', options, true);
  if (event.kind === 'done') return event.value as T;
  if (event.kind !== 'fail') throw new TypeError(`executeChild: unexpected ${event.kind}`);
  const error = childError(event.failure);
  if (throwOnError) throw error;
  return error as T;
}

/**
 * Starts another workflow and goes on. The start is part of this step's commit.
 *
 * @returns The child's workflow id; with `workflowIdConflictPolicy: 'USE_EXISTING'` it may be that of a workflow that ran already.
 * @throws {DuplicateJobError} when the workflow id is taken, as far as the policies do not allow it.
 */
export function startChild<W = unknown>(options: ChildWorkflowOptions<W>): Promise<string> {
  return unawaited(idOfChild(options as ChildWorkflowOptions));
}

async function idOfChild(options: ChildWorkflowOptions): Promise<string> {
  const { workflowId } = await callChild('startChild', options, false);
  return workflowId;
}

/** Of a name in a made id, which may be as long as a name. */
function beginning(name: string): string {
  return name.length <= 150 ? name : name.slice(0, 150).toWellFormed();
}

async function callChild(
  call: string,
  options: ChildWorkflowOptions,
  awaited: boolean,
): Promise<{ event: Event; workflowId: string; throwOnError: boolean }> {
  const { instance, cancellable } = contextOf(call);
  const { info } = instance;
  const given = parseOptions(call, awaited ? awaitedChildOptions : childOptions, options);
  checkOwnNamespace(call, 'namespace', given.namespace, info, 'Start it with client.workflow.start, in an activity');
  const config = resolveRetryPolicy(call, given.config as RetryOptions | undefined, undefined, 'config');
  const taskQueue = given.taskQueue ?? given.entity ?? info.taskQueue;
  const workflowName =
    given.taskQueue === undefined ? (given.entity ?? given.workflowName) : (given.workflowName ?? given.entity);
  if (workflowName === undefined)
    throw refusal(call, 'workflowName', { must: 'given: the name of the function that a worker serves' }, undefined);
  const terms = childTerms(call, given);
  const counter = instance.tick();
  const spec = {
    workflowId:
      given.workflowId ||
      `${beginning(given.entity ?? `-${workflowName}`)}-${seededGuid(instance.seed, instance.draw())}-${counter}`,
    taskQueue,
    args: encodeArguments(given.args, call),
    awaited,
    options: {
      expire: given.expire ?? info.expireS,
      entity: given.entity ?? null,
      signalIn: given.signalIn ?? true,
      config: given.config === undefined ? null : JSON.stringify(config),
      search: given.search === undefined ? null : searchTexts(call, given.search.data),
      parentWorkflowId: info.workflowId,
      originId: info.originId ?? info.workflowId,
      ...(terms !== null && { terms }),
    },
  };
  const { event, command } = await instance.operation(
    { kind: 'child', name: workflowName, fingerprint: fingerprint(spec.args), counter, spec },
    { cancellable: awaited && cancellable },
  );
  if (event.kind === 'decided' && event.decision.what === 'duplicate') throw new DuplicateJobError(event.decision.id);
  // The id recorded first counts: code may compute another one on replay.
  const workflowId = command.kind === 'child' ? command.spec.workflowId : spec.workflowId;
  return { event, workflowId, throwOnError: config.throwOnError };
}

function childTerms(
  call: string,
  given: GivenTerms & { readonly parentClosePolicy?: ParentClosePolicy | undefined },
): StoredTerms | null {
  switch (given.parentClosePolicy) {
    case 'TERMINATE':
      return storedTerms(call, given, { onParentClose: 'terminate' });
    case 'REQUEST_CANCEL':
      return storedTerms(call, given, { onParentClose: 'cancel' });
    default:
      return storedTerms(call, given);
  }
}
