/** OpenTelemetry's SDK in this process, with exporters that keep what they get. */

import { context, metrics, propagation, trace } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';

export interface SeenSpan {
  readonly name: string;
  readonly id: string;
  readonly parent: string | undefined;
  readonly traceId: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** 2: an error. */
  readonly status: number;
  readonly why: string | undefined;
  readonly ms: number;
}

/** Registers the SDK. @returns what was reported since, and what takes the SDK away again. */
export function watchSpans() {
  const exporter = new InMemorySpanExporter();
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  provider.register();
  const spans = (): SeenSpan[] =>
    exporter.getFinishedSpans().map((span) => ({
      name: span.name,
      id: span.spanContext().spanId,
      parent: span.parentSpanContext?.spanId,
      traceId: span.spanContext().traceId,
      attributes: span.attributes,
      status: span.status.code,
      why: span.status.message,
      ms: span.duration[0] * 1_000 + span.duration[1] / 1e6,
    }));
  return {
    spans,
    of: (workflowId: string) => spans().filter(({ attributes }) => attributes['workflow.id'] === workflowId),
    async end(): Promise<void> {
      for (const api of [trace, context, propagation]) api.disable();
      await provider.shutdown();
    },
  };
}

export interface SeenPoint {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly value: number;
  /** Of a histogram. */
  readonly count: number | undefined;
}

/** Registers a meter provider. @returns what reads its figures, and what takes it away again. */
export function watchFigures() {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  metrics.setGlobalMeterProvider(provider);
  return {
    /** By name, as of now. */
    async read(): Promise<Map<string, { unit: string; points: SeenPoint[] }>> {
      exporter.reset();
      await reader.forceFlush();
      const found =
        exporter
          .getMetrics()
          .at(-1)
          ?.scopeMetrics.find(({ scope }) => scope.name === 'perdure')?.metrics ?? [];
      return new Map(
        found.map(({ descriptor, dataPoints }) => [
          descriptor.name,
          {
            unit: descriptor.unit,
            points: dataPoints.map(({ attributes, value }) => {
              if (typeof value === 'number') return { attributes, value, count: undefined };
              const { sum, count } = value as { sum?: number; count: number };
              return { attributes, value: sum ?? 0, count };
            }),
          },
        ]),
      );
    },
    async end(): Promise<void> {
      metrics.disable();
      await provider.shutdown();
    },
  };
}
