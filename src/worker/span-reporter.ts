/**
 * Reports spans of workflows through OpenTelemetry's API, where the program has it.
 *
 * The API is an optional peer, looked for at the first span: a program that reports spans has it, as its SDK asks for it,
 * and the two must be one copy. Without an SDK behind it, it does nothing by itself.
 */

import { hash128 } from '../core/hash128.js';
import type { TraceAttributes } from '../core/history.js';
import { messageOf } from '../postgres/patience.js';
import type { Logger } from './logger.js';

/** The part of the API that is used. */
interface TelemetryApi {
  readonly ROOT_CONTEXT: unknown;
  readonly trace: {
    getTracer(name: string): {
      startSpan(
        name: string,
        options: { readonly attributes: TraceAttributes; readonly startTime: number },
        parent: unknown,
      ): { end(): void };
    };
    setSpanContext(
      context: unknown,
      span: {
        readonly traceId: string;
        readonly spanId: string;
        readonly traceFlags: number;
        readonly isRemote: boolean;
      },
    ): unknown;
  };
}

/** A name the compiler does not follow: the package may be missing. */
const PACKAGE: string = '@opentelemetry/api';
const SAMPLED = 1;

export interface TracedWorkflow {
  readonly workflowId: string;
  readonly workflowName: string;
  readonly run: number;
  /** Random, of the run's start. */
  readonly seed: string;
}

export class SpanReporter {
  readonly #logger: Logger;
  readonly #load: () => Promise<unknown>;
  #api: Promise<TelemetryApi | null> | null = null;

  constructor(logger: Logger, load: () => Promise<unknown> = () => import(PACKAGE)) {
    this.#logger = logger;
    this.#load = load;
  }

  /** Spans that end as soon as they begin, now. Never throws: what a program's SDK does is no fault of the workflow. */
  report(workflow: TracedWorkflow, spans: readonly TraceAttributes[]): void {
    const startTime = Date.now();
    this.#api ??= this.#load().then(
      (loaded) => loaded as TelemetryApi,
      (error: unknown) => {
        this.#logger.debug({ reason: messageOf(error) }, 'no spans are reported: @opentelemetry/api is not there');
        return null;
      },
    );
    void this.#api
      .then((api) => {
        if (api === null) return;
        const parent = api.trace.setSpanContext(api.ROOT_CONTEXT, traceOf(workflow));
        const tracer = api.trace.getTracer('perdure');
        const common = {
          'workflow.id': workflow.workflowId,
          'workflow.name': workflow.workflowName,
          'workflow.run': workflow.run,
        };
        for (const attributes of spans)
          tracer
            .startSpan(workflow.workflowName, { attributes: { ...common, ...attributes }, startTime }, parent)
            .end();
      })
      .catch((error: unknown) => this.#logger.warn({ reason: messageOf(error) }, 'a span was not reported'));
  }
}

/** A trace of its own for each run: the same ids wherever the run goes on. */
function traceOf({ seed }: TracedWorkflow) {
  const hex = (text: string) =>
    hash128(text)
      .map((word) => word.toString(16).padStart(8, '0'))
      .join('');
  return {
    traceId: hex(`trace ${seed}`),
    spanId: hex(`span ${seed}`).slice(0, 16),
    traceFlags: SAMPLED,
    isRemote: true,
  };
}
