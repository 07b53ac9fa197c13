import * as v from 'valibot';
import { encodeArguments } from '../codec/payload.js';
import { DuplicateJobError } from '../core/errors.js';
import { childError } from '../core/failure.js';
import { fingerprint } from '../core/fingerprint.js';
import type { Event } from '../core/history.js';
import { flag, identifier, identifierOrNone, parseOptions, seconds } from '../core/options.js';
import { seededGuid } from '../core/random.js';
import { type RetryOptions, resolveRetryPolicy } from '../core/retry-policy.js';
import { type SearchOptions, searchOption, searchTexts } from '../core/search-fields.js';
import { unawaited } from '../core/unawaited.js';
import { contextOf } from './context.js';

/** Options of {@link executeChild} and {@link startChild}; the same words as `client.workflow.start`. */
export interface ChildWorkflowOptions {
  readonly args: readonly unknown[];
  /** Default: the parent's queue, or `entity`. */
  readonly taskQueue?: string;
  /** The function's name. Default with only `entity` given: the entity. */
  readonly workflowName?: string;
  /** Unique in the namespace. Default: generated. */
  readonly workflowId?: string;
  readonly entity?: string;
  readonly search?: SearchOptions;
  /** Seconds the child stays readable once finished. Default: the parent's. */
  readonly expire?: number;
  readonly signalIn?: boolean;
  /** Retries of the child's function. `throwOnError: false`: `executeChild` returns the error instead of throwing it. */
  readonly config?: RetryOptions;
  /** Accepted for compatibility, without effect: the call says whether it waits. */
  readonly await?: boolean;
  /** Accepted for compatibility, without effect. */
  readonly persistent?: boolean;
  readonly guid?: string;
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
  await: v.optional(v.unknown()),
  persistent: v.optional(v.unknown()),
  guid: v.optional(v.unknown()),
});

/**
 * Runs another workflow and waits for its result. Scheduling and result are durable; the child outlives this process.
 *
 * @returns The child's result; its failure as an `Error` with `config.throwOnError: false`.
 * @throws The child's failure: the class it failed with (`DurableFatalError`, `DurableMaxedError` ...), its message and stack.
 * @throws {DuplicateJobError} when the workflow id is taken.
 * @throws {CancelledFailure} when this workflow is cancelled meanwhile; the child is asked to cancel too.
 *
 * @example
 * const parcel = await Durable.workflow.executeChild<Parcel>({ workflowName: 'ship', args: [orderId] });
 */
export function executeChild<T = unknown>(options: ChildWorkflowOptions): Promise<T> {
  return unawaited(resultOfChild<T>(options));
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
 * @returns The child's workflow id.
 * @throws {DuplicateJobError} when the workflow id is taken.
 */
export function startChild(options: ChildWorkflowOptions): Promise<string> {
  return unawaited(idOfChild(options));
}

async function idOfChild(options: ChildWorkflowOptions): Promise<string> {
  const { workflowId } = await callChild('startChild', options, false);
  return workflowId;
}

async function callChild(
  call: string,
  options: ChildWorkflowOptions,
  awaited: boolean,
): Promise<{ event: Event; workflowId: string; throwOnError: boolean }> {
  const { instance, cancellable } = contextOf(call);
  const { info } = instance;
  const given = parseOptions(call, childOptions, options);
  const config = resolveRetryPolicy(call, given.config as RetryOptions | undefined, undefined, 'config');
  const taskQueue = given.taskQueue ?? given.entity ?? info.taskQueue;
  const workflowName =
    (given.taskQueue === undefined ? (given.entity ?? given.workflowName) : (given.workflowName ?? given.entity)) ?? '';
  parseOptions(call, v.strictObject({ workflowName: identifier }), { workflowName });
  const counter = instance.tick();
  const spec = {
    workflowId:
      given.workflowId || `${given.entity ?? `-${workflowName}`}-${seededGuid(info.seed, instance.draw())}-${counter}`,
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
