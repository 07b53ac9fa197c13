import * as v from 'valibot';
import { encodePayload } from '../codec/payload.js';
import { fingerprint } from '../core/fingerprint.js';
import type { EmittedEvent } from '../core/history.js';
import { holdsFields } from '../core/holds-fields.js';
import { identifierRuleFor, isIdentifier } from '../core/identifier.js';
import { flag, parseOptions } from '../core/options.js';
import { refusal } from '../core/refusal.js';
import { unawaited } from '../core/unawaited.js';
import { contextOf } from './context.js';

/** Options of {@link emit} and {@link trace}. */
export interface OnceOptions {
  /**
   * Whether it happens once, whatever becomes of the worker. `false`: again each time the function's code runs, that is
   * also when a worker recovers the workflow from its history, and when the function is retried. Default true.
   */
  readonly once?: boolean;
}

export const onceOptions = v.strictObject({ once: v.optional(flag) });

/**
 * Emits events for subscribers: `client.workflow.subscribe`. Part of the commit of this step, also when the call is not
 * awaited: an event is there if and only if the step is. Subscribers get the events of a workflow in the order in which it
 * emitted them.
 *
 * Kept for subscribers that come later as long as the workflow stays readable (`expire`), counted from this moment, and ten
 * minutes at least.
 *
 * @param events Payloads by topic.
 * @returns true.
 * @throws {InvalidArgumentError} for a topic that is empty, too long or not well-formed; {PayloadError}, {PayloadTooLargeError}.
 *
 * @example
 * await Durable.workflow.emit({ 'order.packed': { orderId, boxes: 2 } });
 */
export function emit(events: Readonly<Record<string, unknown>>, options: OnceOptions = {}): Promise<true> {
  return unawaited(emitEvents(events, options));
}

async function emitEvents(events: Readonly<Record<string, unknown>>, options: OnceOptions): Promise<true> {
  const { instance } = contextOf('emit');
  const encoded = encodeEvents(events);
  const { once = true } = parseOptions('emit', onceOptions, options);
  const counter = once ? instance.tick() : instance.counter;
  const topics = encoded.map(({ topic }) => topic).join('\0');
  await instance.sideEffect(
    { kind: 'emit', name: '', fingerprint: fingerprint(topics), counter, spec: { events: encoded } },
    { once },
  );
  return true;
}

function encodeEvents(events: unknown): EmittedEvent[] {
  if (!holdsFields(events)) throw refusal('emit', 'events', { must: 'an object of payloads by topic' }, events);
  return Object.entries(events).map(([topic, payload]) => {
    if (!isIdentifier(topic)) throw refusal('emit', 'each topic', identifierRuleFor(topic), topic);
    return { topic, payload: encodePayload(payload, `events[${JSON.stringify(topic)}]`) };
  });
}
