/**
 * The part of `@opentelemetry/api` that the engine uses, once the program has registered an SDK.
 *
 * The package is an optional peer, and looked for only when there is an SDK: then it is installed. Whether there is one is
 * asked at the place where all copies of the API find each other, one look-up of a property: a program without an SDK pays
 * nothing else, and loads nothing.
 */

import { createRequire } from 'node:module';
import type { Carrier } from './carrier.js';

/** An immutable set of values, the current span among them. */
export type Context = object;

export interface SpanContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
  readonly isRemote?: boolean;
}

export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface Span {
  spanContext(): SpanContext;
  setAttributes(attributes: Attributes): unknown;
  setStatus(status: { readonly code: number; readonly message?: string }): unknown;
  updateName(name: string): unknown;
  end(): void;
}

export interface SpanOptions {
  readonly kind?: number;
  readonly attributes: Attributes;
  /** Ms since the epoch. */
  readonly startTime?: number;
}

export interface Counter {
  add(value: number, attributes?: Attributes): void;
}

export interface Histogram {
  record(value: number, attributes?: Attributes): void;
}

export interface Observed {
  observe(value: number, attributes?: Attributes): void;
}

export interface Gauge {
  addCallback(callback: (result: Observed) => void): void;
  removeCallback(callback: (result: Observed) => void): void;
}

interface InstrumentOptions {
  readonly description: string;
  readonly unit: string;
  readonly advice?: { readonly explicitBucketBoundaries: number[] };
}

export interface Meter {
  createCounter(name: string, options: InstrumentOptions): Counter;
  createHistogram(name: string, options: InstrumentOptions): Histogram;
  createObservableGauge(name: string, options: InstrumentOptions): Gauge;
}

export interface TelemetryApi {
  readonly ROOT_CONTEXT: Context;
  readonly context: { active(): Context; with<T>(context: Context, run: () => T): T };
  readonly trace: {
    getTracer(name: string): { startSpan(name: string, options: SpanOptions, parent: Context): Span };
    getSpanContext(context: Context): SpanContext | undefined;
    setSpan(context: Context, span: Span): Context;
    setSpanContext(context: Context, span: SpanContext): Context;
  };
  readonly propagation: {
    inject(context: Context, carrier: Carrier): void;
    extract(context: Context, carrier: Carrier): Context;
  };
  readonly metrics: { getMeter(name: string): Meter };
}

/** Where what a program registers stands, whichever copies of the API there are. Part of the API's contract within version 1. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');

interface Registered {
  readonly trace?: object;
  readonly metrics?: object;
}

const registered = () => (globalThis as { [REGISTERED]?: Registered })[REGISTERED];

let api: TelemetryApi | null | undefined;

/** The API when spans are wanted: an SDK is registered. */
export function tracing(): TelemetryApi | null {
  return registered()?.trace === undefined ? null : loaded();
}

/** What meters come from when figures are wanted: changes when another SDK is registered. */
export function meterProvider(): object | null {
  return registered()?.metrics ?? null;
}

/** The meter of the registered SDK. */
export function engineMeter(): Meter | null {
  return meterProvider() === null ? null : (loaded()?.metrics.getMeter('perdure') ?? null);
}

function loaded(): TelemetryApi | null {
  if (api !== undefined) return api;
  try {
    api = createRequire(import.meta.url)('@opentelemetry/api') as TelemetryApi;
  } catch (error) {
    api = null;
    process.emitWarning(
      `Perdure reports no spans and figures: an OpenTelemetry SDK is registered, but @opentelemetry/api cannot be loaded (${String(error)})`,
    );
  }
  return api;
}
