import * as v from 'valibot';
import { InvalidArgumentError } from '../core/errors.js';
import { fingerprint } from '../core/fingerprint.js';
import { checkSignalId } from '../core/identifier.js';
import { duration, parseOptions } from '../core/options.js';
import { unawaited } from '../core/unawaited.js';
import { contextOf } from './context.js';

const conditionOptions = v.strictObject({ timeout: v.optional(duration) });

/** What makes a condition an escalation, which comes later. */
const escalationFields = [
  'role',
  'type',
  'subtype',
  'entity',
  'description',
  'priority',
  'metadata',
  'envelope',
  'originId',
  'parentId',
  'initiatedBy',
  'traceId',
  'spanId',
  'expiresAt',
  'taskQueue',
  'workflowType',
];

/** Options of {@link condition}. */
export interface ConditionOptions {
  /** How long to wait at most. Default: for ever. */
  readonly timeout?: string | number;
}

/**
 * Waits for a signal.
 *
 * A signal sent before the wait began is kept (10 minutes unless its sender said otherwise) and found here. Several
 * signals of one id arrive in order, one per wait. The id is not compared on replay: it may be computed freely, and the
 * one recorded first counts.
 *
 * @param signalId What the sender calls it: `handle.signal(id, data)` reaches this workflow, `client.workflow.signal(id,
 *   data)` whoever has waited longest in the namespace.
 * @param timeout How long to wait, or `{ timeout }`.
 * @returns The signal's data, or `false` when the timeout came first.
 * @throws {CancelledFailure} when the workflow is cancelled meanwhile.
 *
 * @example
 * const approval = await Durable.workflow.condition<{ by: string }>(`approve-${orderId}`, '2 days');
 * if (approval === false) return 'timed out';
 */
export function condition<T = unknown>(
  signalId: string,
  timeout?: string | number | ConditionOptions,
): Promise<T | false> {
  return unawaited(awaitSignal<T>(signalId, timeout));
}

/** {@link condition} under its older name, which older programs call without a timeout: then nothing but data comes. */
export interface WaitFor {
  <T = unknown>(signalId: string): Promise<T>;
  <T = unknown>(signalId: string, timeout: string | number | ConditionOptions | undefined): Promise<T | false>;
}

async function awaitSignal<T>(signalId: string, timeout?: string | number | ConditionOptions): Promise<T | false> {
  const { instance, cancellable } = contextOf('condition');
  checkSignalId('condition', signalId);
  const timeoutMs = readTimeout(timeout);
  const counter = instance.tick();
  const { event } = await instance.operation(
    {
      kind: 'wait',
      name: '',
      fingerprint: fingerprint(`${timeoutMs} ${signalId}`),
      counter,
      spec: { signalId, timeoutMs },
    },
    { cancellable },
  );
  if (event.kind === 'signal') return event.value as T;
  if (event.kind === 'decided' && event.decision.what === 'signal') return event.decision.value as T;
  return false;
}

function readTimeout(timeout: string | number | ConditionOptions | undefined): number | null {
  if (timeout === undefined) return null;
  if (timeout === null)
    throw new InvalidArgumentError('condition: timeout must be a duration; got null. Leave it out to wait for ever');
  const options = typeof timeout === 'object' ? timeout : { timeout };
  const asked = escalationFields.find((field) => Object.hasOwn(options, field));
  if (asked !== undefined)
    throw new InvalidArgumentError(
      `condition: an escalation (${asked}) cannot be asked for yet; it comes with a later version. Until then give a ` +
        'timeout only, and keep the task in a table of your own, from an activity',
    );
  return parseOptions('condition', conditionOptions, options).timeout ?? null;
}
