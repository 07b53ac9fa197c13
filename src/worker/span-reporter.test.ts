import { describe, expect, it } from 'vitest';
import type { Logger } from './logger.js';
import { SpanReporter } from './span-reporter.js';

const workflow = { workflowId: 'o-1', workflowName: 'order', run: 2, seed: '77' };

interface Span {
  name: string;
  options: { attributes: object; startTime: number };
  parent: { traceId: string; spanId: string; traceFlags: number; isRemote: boolean };
  ended: boolean;
}

function telemetry() {
  const spans: Span[] = [];
  const api = {
    ROOT_CONTEXT: 'root',
    trace: {
      setSpanContext: (_: unknown, parent: unknown) => parent,
      getTracer: () => ({
        startSpan: (name: string, options: Span['options'], parent: Span['parent']) => {
          const span = { name, options, parent, ended: false };
          spans.push(span);
          return {
            end: () => {
              span.ended = true;
            },
          };
        },
      }),
    },
  };
  return { api, spans };
}

function logger() {
  const lines: string[] = [];
  const at = (level: string) => (fields: Record<string, unknown>, message: string) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  return {
    lines,
    log: { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') } satisfies Logger,
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('a span', () => {
  it('bears the name of its workflow, its attributes and where it is from', async () => {
    const { api, spans } = telemetry();
    new SpanReporter(logger().log, async () => api).report(workflow, [{ boxes: 2 }, { 'workflow.id': 'own' }]);
    await settled();
    expect(spans.map(({ name, options, ended }) => [name, options.attributes, ended])).toEqual([
      ['order', { 'workflow.id': 'o-1', 'workflow.name': 'order', 'workflow.run': 2, boxes: 2 }, true],
      ['order', { 'workflow.id': 'own', 'workflow.name': 'order', 'workflow.run': 2 }, true],
    ]);
    expect(Math.abs((spans[0]?.options.startTime ?? 0) - Date.now())).toBeLessThan(10_000);
  });

  it('belongs to the trace of its run, whichever process reports it', async () => {
    const [one, other] = [telemetry(), telemetry()];
    new SpanReporter(logger().log, async () => one.api).report(workflow, [{}]);
    new SpanReporter(logger().log, async () => other.api).report({ ...workflow, run: 3 }, [{}]);
    new SpanReporter(logger().log, async () => other.api).report({ ...workflow, seed: '78' }, [{}]);
    await settled();
    const [parent] = one.spans.map((span) => span.parent);
    expect(parent).toMatchObject({ traceFlags: 1, isRemote: true });
    expect(parent?.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(parent?.spanId).toMatch(/^[0-9a-f]{16}$/);
    expect(other.spans[0]?.parent).toEqual(parent);
    expect(other.spans[1]?.parent.traceId).not.toBe(parent?.traceId);
  });

  it('is not reported where the API is missing; that is looked for once and said at debug only', async () => {
    let looked = 0;
    const { log, lines } = logger();
    const reporter = new SpanReporter(log, async () => {
      looked++;
      throw new Error('Cannot find package');
    });
    reporter.report(workflow, [{}]);
    reporter.report(workflow, [{}]);
    await settled();
    expect(looked).toBe(1);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^debug no spans are reported/);
  });

  it('that the SDK refuses harms nobody', async () => {
    const { log, lines } = logger();
    const { api } = telemetry();
    api.trace.getTracer = () => {
      throw new Error('shut down');
    };
    new SpanReporter(log, async () => api).report(workflow, [{}]);
    await settled();
    expect(lines).toEqual(['warn a span was not reported {"reason":"shut down"}']);
  });
});
