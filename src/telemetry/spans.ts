/**
 * Spans of workflows and activities, and the trace they belong to.
 *
 * A run outlives processes, and a span can only be ended where it was begun. So a run has no span that is open while it runs:
 * one tells its start (by whoever started it), one, begun in retrospect, its whole life (by whoever commits its end), and its
 * activities have one for each attempt. All belong to the trace context that stands in the run's row; where nobody put one
 * there, to a trace that follows from the run's seed, the same wherever it goes on.
 *
 * Nothing here throws: what a program's SDK does is no fault of the workflow.
 */

import { hash128 } from '../core/hash128.js';
import { type Attributes, type Context, type Span, type TelemetryApi, tracing } from './api.js';
import { type Carrier, carrierFrom, carrierText, traceparent } from './carrier.js';

const SAMPLED = 1;
const ERROR = 2;
/** Of the API's SpanKind. */
export const spanKind = { internal: 0, producer: 3, consumer: 4 } as const;

export interface TracedRun {
  /** As it stands in its row. */
  readonly trace: string | null;
  /** Random, of the run's start. */
  readonly seed: string;
}

/** The context that the spans of a run belong to. */
export function contextOfRun(api: TelemetryApi, { trace, seed }: TracedRun): Context {
  if (trace !== null) {
    const context = contextFrom(api, trace);
    if (api.trace.getSpanContext(context) !== undefined) return context;
  }
  return api.trace.setSpanContext(api.ROOT_CONTEXT, {
    traceId: hex(`trace ${seed}`),
    spanId: hex(`span ${seed}`).slice(0, 16),
    traceFlags: SAMPLED,
    isRemote: true,
  });
}

/** @param name As `WORKFLOW/START/order`. */
export function beginSpan(
  api: TelemetryApi,
  name: string,
  attributes: Attributes,
  parent: Context,
  { kind = spanKind.internal, startTime }: { readonly kind?: number; readonly startTime?: number } = {},
): Span {
  const options = { kind, attributes, ...(startTime !== undefined && { startTime }) };
  return api.trace.getTracer('perdure').startSpan(name, options, parent);
}

/** @param why The error's name: its message is the user's text. */
export function endSpan(span: Span, why?: string): void {
  if (why !== undefined) span.setStatus({ code: ERROR, message: why });
  span.end();
}

/** A start that is under way, by a client or in a commit. */
export interface TracedStart {
  /** What the started run is to carry. */
  readonly trace: string;
  /** @param why It failed: the error's name. */
  end(why?: string): void;
}

/**
 * Begins the span of a start. Null where nobody traces.
 *
 * @param within The trace context it belongs to; null: the caller's active one.
 */
export function beginStart(
  name: string,
  attributes: Attributes,
  within: string | TracedRun | null,
): TracedStart | null {
  const api = tracing();
  if (api === null) return null;
  try {
    const parent = parentOf(api, within);
    const span = beginSpan(api, name, attributes, parent, { kind: spanKind.producer });
    return {
      trace: carrierOf(api, api.trace.setSpan(parent, span), span),
      end: (why) => quietly(() => endSpan(span, why)),
    };
  } catch {
    return null;
  }
}

/** What spans tell of the workflow they belong to. */
export function startAttributes(workflowId: string, workflowName: string, taskQueue: string): Attributes {
  return { 'workflow.id': workflowId, 'workflow.name': workflowName, 'workflow.task_queue': taskQueue };
}

/** Does what concerns telemetry only. */
export function quietly(run: () => void): void {
  try {
    run();
  } catch {
    // Telemetry is no part of what the engine promises.
  }
}

function parentOf(api: TelemetryApi, within: string | TracedRun | null): Context {
  if (within === null) return api.context.active();
  return typeof within === 'string' ? contextFrom(api, within) : contextOfRun(api, within);
}

/** By the program's propagators, and where those do not know it, by what W3C says. */
function contextFrom(api: TelemetryApi, text: string): Context {
  const carrier = carrierFrom(text);
  const context = api.propagation.extract(api.ROOT_CONTEXT, carrier);
  if (api.trace.getSpanContext(context) !== undefined) return context;
  const [, traceId, spanId, flags] = (carrier.traceparent ?? '').split('-');
  if (traceId === undefined || spanId === undefined) return context;
  const traceFlags = Number.parseInt(flags ?? '', 16) || 0;
  return api.trace.setSpanContext(context, { traceId, spanId, traceFlags, isRemote: true });
}

function carrierOf(api: TelemetryApi, context: Context, span: Span): string {
  const carrier: Carrier = {};
  api.propagation.inject(context, carrier);
  carrier.traceparent ??= traceparent(span.spanContext());
  return carrierText(carrier);
}

function hex(text: string): string {
  return hash128(text)
    .map((word) => word.toString(16).padStart(8, '0'))
    .join('');
}
