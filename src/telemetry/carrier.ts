/**
 * The trace context of a run as the database holds it: a W3C `traceparent`, or where a propagator adds something (`tracestate`,
 * `baggage`) all its fields as a JSON object.
 */

import { refusal } from '../core/refusal.js';

/** Fields by name, as propagators write and read them. */
export type Carrier = Record<string, string>;

/** Where a span stands. */
export interface TraceIds {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
}

const SAMPLED = 1;

export function traceparent({ traceId, spanId, traceFlags = SAMPLED }: TraceIds & { traceFlags?: number }): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

export function carrierText(carrier: Carrier): string {
  const { traceparent: parent } = carrier;
  return parent !== undefined && Object.keys(carrier).length === 1 ? parent : JSON.stringify(carrier);
}

export function carrierFrom(text: string): Carrier {
  return text.startsWith('{') ? (JSON.parse(text) as Carrier) : { traceparent: text };
}

/** The ids of a stored trace context; null without one, and where it holds no `traceparent`. */
export function traceIdsOf(text: string | null): TraceIds | null {
  const [, traceId, spanId] = (text === null ? '' : (carrierFrom(text).traceparent ?? '')).split('-');
  return traceId === undefined || spanId === undefined ? null : { traceId, spanId };
}

/**
 * The options `workflowTrace` and `workflowSpan`, as they are stored. * A span that is not given is drawn.
 *
 * @throws {InvalidArgumentError} for what are no ids, and for a span without its trace.
 */
export function givenTrace(
  call: string,
  { workflowTrace, workflowSpan }: { readonly workflowTrace?: unknown; readonly workflowSpan?: unknown },
): string | null {
  if (workflowTrace === undefined && workflowSpan === undefined) return null;
  if (!isId(workflowTrace, 32))
    throw refusal(call, 'workflowTrace', { must: "a trace's id: 32 hexadecimal digits, not all 0" }, workflowTrace);
  if (workflowSpan !== undefined && !isId(workflowSpan, 16))
    throw refusal(call, 'workflowSpan', { must: "a span's id: 16 hexadecimal digits, not all 0" }, workflowSpan);
  return traceparent({ traceId: workflowTrace, spanId: workflowSpan ?? randomSpanId() });
}

function randomSpanId(): string {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return [high | 1, low].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}

function isId(id: unknown, digits: number): id is string {
  return typeof id === 'string' && id.length === digits && /^[0-9a-f]+$/.test(id) && !/^0+$/.test(id);
}
