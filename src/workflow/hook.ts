import * as v from 'valibot';
import { encodeArguments } from '../codec/payload.js';
import { InvalidArgumentError } from '../core/errors.js';
import { childError } from '../core/failure.js';
import { fingerprint } from '../core/fingerprint.js';
import type { Command, Event } from '../core/history.js';
import { type HookOptions, hookFields, hookFunction, hookRefused } from '../core/hook-options.js';
import { identifier, parseOptions, text } from '../core/options.js';
import { seededUuid4 } from '../core/random.js';
import { refusal } from '../core/refusal.js';
import { type RetryOptions, resolveRetryPolicy } from '../core/retry-policy.js';
import { searchTexts } from '../core/search-fields.js';
import { unawaited } from '../core/unawaited.js';
import type { ExecutionInfo, Instance } from '../replay/instance.js';
import type { Cancellable } from '../replay/pending-operation.js';
import { contextOf } from './context.js';
import { checkOwnNamespace } from './own-namespace.js';

/** Options of {@link execHook}. */
export interface ExecHookOptions extends HookOptions {
  /** The signal that ends the wait. Default: generated, the same in each replay. */
  readonly signalId?: string;
}

/** One of the hooks of {@link execHookBatch}. */
export interface BatchHook<K extends string = string> {
  /** Where its answer stands in the result. */
  readonly key: K;
  readonly options: ExecHookOptions;
}

const hookShape = v.strictObject(hookFields);
const execHookShape = v.strictObject({ ...hookFields, signalId: v.optional(identifier) });
const batchShape = v.strictObject({ key: text, options: v.unknown() });

/**
 * Opens a hook: runs another function inside a workflow, beside its main function, and goes on. A hook is a thread of its
 * own, with its own history and retries, on whichever worker serves its function; it shares the workflow's search fields
 * and entity, and may call everything but `continueAsNew`. What it returns is discarded, and its failure is its own: results
 * travel by signal or shared data. Hooks end with the main function.
 *
 * Opening it is part of this step's commit: exactly once, also when the call is not awaited.
 *
 * @returns An id of the hook, unique in the namespace.
 * @throws {InvalidArgumentError} for options that make no sense, or that name no function: it would be the calling one, endlessly.
 * @throws {GetStateError} (404) when the workflow is unknown, {InactiveJobError} when it has ended, {HookRefusedError} when
 *   it takes none (`signalIn: false`).
 *
 * @example
 * await Durable.workflow.hook({ taskQueue: 'reviews', workflowName: 'review', args: [draftId] });
 */
export function hook(options: HookOptions): Promise<string> {
  return unawaited(openHook(options));
}

async function openHook(options: HookOptions): Promise<string> {
  const { instance } = contextOf('hook');
  const { command } = plan('hook', instance, parseOptions('hook', hookShape, options), null);
  return instance.call({ ...command, counter: instance.tick() }, { cancellable: false }, (event, recorded) => {
    const decision = decisionOf('hook', event);
    if (decision.what === 'unhooked') throw hookRefused(targetOf(recorded, instance), decision.reason);
    return decision.what === 'hooked' ? decision.id : '';
  });
}

/**
 * Opens a hook, as {@link hook} does, and waits for its signal. The function gets `{ signal, $durable: true }` as its last
 * argument and answers with `Durable.workflow.signal(signal, data)`, or hands the id to whoever shall.
 *
 * @returns The signal's data; the hook's failure as an `Error` with `config.throwOnError: false`.
 * @throws the failure of a hook that failed for good before its signal came, as `executeChild` does for a child; also when
 *   the hook's workflow ended first. A hook that returned without a signal leaves its caller waiting: somebody else may send it.
 * @throws {CancelledFailure} when the workflow is cancelled meanwhile.
 * @throws as {@link hook}.
 *
 * @example
 * // async function review(draftId: string, { signal }: { signal: string }) { ... await Durable.workflow.signal(signal, verdict); }
 * const verdict = await Durable.workflow.execHook<Verdict>({ taskQueue: 'reviews', workflowName: 'review', args: [draftId] });
 */
export function execHook<T = unknown>(options: ExecHookOptions): Promise<T> {
  return unawaited(answerOfHook<T>(options));
}

async function answerOfHook<T>(options: ExecHookOptions): Promise<T> {
  const { instance, cancellable } = contextOf('execHook');
  const given = parseOptions('execHook', execHookShape, options);
  return awaitHook<T>(
    'execHook',
    instance,
    cancellable,
    plan('execHook', instance, given, signalIdOf(given, instance)),
  );
}

/**
 * Opens several hooks at once and waits for the signals of all; see {@link execHook}.
 *
 * @param hooks Each with a key of its own.
 * @returns The answers by key.
 * @throws the first failure. All options are looked at before any hook is opened.
 *
 * @example
 * const { legal, brand } = await Durable.workflow.execHookBatch<{ legal: Verdict; brand: Verdict }>([
 *   { key: 'legal', options: { taskQueue: 'legal', workflowName: 'review', args: [draftId] } },
 *   { key: 'brand', options: { taskQueue: 'brand', workflowName: 'review', args: [draftId] } },
 * ]);
 */
export function execHookBatch<T extends object = Record<string, unknown>>(
  hooks: readonly BatchHook<keyof T & string>[],
): Promise<T> {
  return unawaited(answersOfHooks<T>(hooks));
}

async function answersOfHooks<T extends object>(hooks: readonly BatchHook[]): Promise<T> {
  const call = 'execHookBatch';
  const { instance, cancellable } = contextOf(call);
  if (!Array.isArray(hooks)) throw refusal(call, 'hooks', { must: 'an array of { key, options }' }, hooks);
  const keys = new Set<string>();
  const plans = hooks.map((one: unknown, index) => {
    const { key, options } = parseOptions(call, batchShape, one, `hooks[${index}]`);
    if (keys.has(key))
      throw new InvalidArgumentError(`${call}: hooks has two entries of key "${key}". Keys must differ`);
    keys.add(key);
    const given = parseOptions(call, execHookShape, options, `hooks[${index}].options`);
    return plan(call, instance, given, signalIdOf(given, instance), `hooks[${index}].options.`);
  });
  const answers = await Promise.all(plans.map((one) => unawaited(awaitHook(call, instance, cancellable, one))));
  return Object.fromEntries([...keys].map((key, index) => [key, answers[index]])) as T;
}

type HookCommand = Extract<Command, { kind: 'hook' }>;

/** All of a hook's command but its position, which it gets when it is sent. */
interface HookPlan {
  readonly command: Omit<HookCommand, 'counter'>;
  readonly throwOnError: boolean;
}

/** @param at Where the options stand in the call, in front of their fields. */
function plan(
  call: string,
  { info }: Instance,
  given: v.InferOutput<typeof hookShape>,
  signalId: string | null,
  at = '',
): HookPlan {
  const { taskQueue, workflowName } = hookFunction(given);
  if (taskQueue === undefined || workflowName === undefined) throw loop(info);
  checkOwnNamespace(call, `${at}namespace`, given.namespace, info, 'Open it with client.workflow.hook, in an activity');
  const config = resolveRetryPolicy(call, given.config as RetryOptions | undefined, undefined, `${at}config`);
  const args = encodeArguments(given.args, call);
  return {
    command: {
      kind: 'hook',
      name: workflowName,
      fingerprint: fingerprint(args),
      spec: {
        workflowId: given.workflowId === undefined || given.workflowId === info.workflowId ? null : given.workflowId,
        taskQueue,
        args,
        signalId,
        config: given.config === undefined ? null : JSON.stringify(config),
        search: given.search === undefined ? null : searchTexts(call, given.search.data),
      },
    },
    throwOnError: config.throwOnError,
  };
}

/** Of a position of its own, so that each call has another and each replay the same. */
function signalIdOf({ signalId }: { signalId?: string | undefined }, instance: Instance): string {
  return signalId ?? `durable-hook-${seededUuid4(instance.seed, instance.draw())}`;
}

function awaitHook<T>(
  call: string,
  instance: Instance,
  cancellable: Cancellable,
  { command, throwOnError }: HookPlan,
): Promise<T> {
  const counter = instance.tick();
  instance.tick(); // two positions: the hook and the wait
  return instance.call({ ...command, counter }, { cancellable }, (event, recorded) => {
    if (event.kind === 'signal') return event.value as T;
    if (event.kind === 'fail') {
      const error = childError(event.failure);
      if (throwOnError) throw error;
      return error as T;
    }
    const decision = decisionOf(call, event);
    if (decision.what === 'unhooked') throw hookRefused(targetOf(recorded, instance), decision.reason);
    return (decision.what === 'signal' ? decision.value : undefined) as T;
  });
}

function decisionOf(call: string, event: Event) {
  if (event.kind !== 'decided') throw new TypeError(`${call}: unexpected ${event.kind}`);
  return event.decision;
}

function targetOf(command: Command, { info }: Instance): string {
  return (command as HookCommand).spec.workflowId ?? info.workflowId;
}

function loop({ taskQueue, workflowName }: ExecutionInfo): InvalidArgumentError {
  return new InvalidArgumentError(
    `Durable Hook Error: Potential infinite loop detected! The hook would run the function that opens it ` +
      `("${taskQueue}-${workflowName}"). Name another one: 'taskQueue' with 'workflowName', or 'entity'`,
  );
}
