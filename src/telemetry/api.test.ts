import { metrics, trace } from '@opentelemetry/api';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { afterEach, expect, it } from 'vitest';
import { engineMeter, meterProvider, tracing } from './api.js';
import { beginStart } from './spans.js';

afterEach(() => {
  trace.disable();
  metrics.disable();
});

it('without an SDK nothing is begun or allocated', () => {
  expect([tracing(), meterProvider(), engineMeter(), beginStart('x', {}, null)]).toEqual([null, null, null, null]);
  const look = () => {
    for (let n = 0; n < 1_000_000; n++) if (tracing() !== null || meterProvider() !== null) throw new Error('an SDK');
  };
  look();
  const before = process.memoryUsage().heapUsed;
  look();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(1_000_000); // not a byte for each look
});

it('with one the API is there at once, and gone with it', () => {
  trace.setGlobalTracerProvider(new NodeTracerProvider());
  metrics.setGlobalMeterProvider(new MeterProvider());
  expect(tracing()?.ROOT_CONTEXT).toBeTypeOf('object');
  expect(engineMeter()?.createCounter).toBeTypeOf('function');
  trace.disable();
  expect(tracing()).toBeNull();
});

it('a tracer that throws is no fault of the start', () => {
  trace.setGlobalTracerProvider({
    getTracer: () => {
      throw new Error('shut down');
    },
  });
  expect(beginStart('x', {}, null)).toBeNull();
});
