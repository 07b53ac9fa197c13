/** Low-level guards, for code that has effects of its own beside durable calls: logs, metrics, notifications. */

import { checkIdentifier } from '../core/identifier.js';
import { unawaited } from '../core/unawaited.js';
import { contextOf } from './context.js';

/**
 * Whether the code is here for the first time: true once per position and run of the workflow, false in every replay and
 * every later attempt. The answer is durable before it is given, so what it guards happens at most once.
 *
 * It differs from run to run, so what it guards must not make durable calls.
 *
 * @param _engine Accepted for compatibility.
 * @param kind What is guarded, for people who read the history.
 *
 * @example
 * if (await Durable.workflow.isSideEffectAllowed(null, 'metric')) metrics.count('orders');
 */
export function isSideEffectAllowed(_engine: unknown, kind: string): Promise<boolean> {
  return unawaited(passes(kind));
}

async function passes(kind: string): Promise<boolean> {
  const { instance } = contextOf('isSideEffectAllowed');
  checkIdentifier('isSideEffectAllowed', 'kind', kind);
  const counter = instance.tick();
  await instance.operation({ kind: 'marker', name: kind, fingerprint: 0, counter, spec: {} }, { cancellable: false });
  return !instance.replaying;
}

/**
 * Whether the code runs behind its history, and the position it is at; counts as a call. For logging only: code must not
 * depend on it.
 *
 * @param kind Accepted for compatibility.
 * @returns `[ran, index, stored]`; what was stored is given by the call itself, so `stored` is null.
 */
export async function didRun(kind: string): Promise<[ran: boolean, index: number, stored: null]> {
  const { instance } = contextOf('didRun');
  checkIdentifier('didRun', 'kind', kind);
  return [instance.replaying, instance.tick(), null];
}
