/**
 * Reports what happens to workflows and activities as OpenTelemetry spans: see telemetry/spans.ts for which there are.
 *
 * Without a registered SDK every method returns at once and makes nothing.
 */

import type { TraceAttributes } from '../core/history.js';
import type { Logger } from '../core/logger.js';
import { messageOf } from '../postgres/patience.js';
import { type Attributes, type TelemetryApi, tracing } from '../telemetry/api.js';
import {
  beginSpan,
  beginStart,
  contextOfRun,
  endSpan,
  quietly,
  spanKind,
  startAttributes,
  type TracedRun,
  type TracedStart,
} from '../telemetry/spans.js';

/** A thread of a run, as its spans name it. */
export interface TracedWorkflow extends TracedRun {
  readonly workflowId: string;
  readonly workflowName: string;
  readonly taskQueue: string;
  readonly run: number;
  /** Null on the main thread. */
  readonly hookNo: number | null;
  readonly createdMs: number;
}

export interface TracedAttempt extends TracedRun {
  readonly workflowId: string;
  readonly workflowName: string;
  readonly taskQueue: string;
}

/** The span of an attempt of an activity. */
export interface AttemptSpan {
  /** The function, run so that the spans it makes are children of this one. */
  within(run: (...args: never[]) => unknown): (...args: never[]) => unknown;
  /** @param why The name of the error it failed with. */
  end(outcome: string, why?: string): void;
}

export interface EndOfThread {
  readonly state: string;
  /** The name of the error it failed with. */
  readonly why: string | null;
}

export class SpanReporter {
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Whether anybody wants spans. */
  get active(): boolean {
    return tracing() !== null;
  }

  /** Spans that the workflow asked for (`workflow.trace`): they end as soon as they begin, now. */
  report(workflow: TracedWorkflow, spans: readonly TraceAttributes[]): void {
    this.#with((api) => {
      const context = contextOfRun(api, workflow);
      for (const attributes of spans)
        beginSpan(api, workflow.workflowName, { ...attributesOf(workflow), ...attributes }, context).end();
    });
  }

  /** Runs a workflow function so that whatever asks for the current span finds the workflow's. */
  within<T>(workflow: () => TracedRun, run: () => T): T {
    const api = tracing();
    if (api === null) return run();
    let context: object | null = null;
    quietly(() => {
      context = contextOfRun(api, workflow());
    });
    return context === null ? run() : api.context.with(context, run);
  }

  /** A thread has ended, durably: tells its whole life. Of a hook only that it ended: when it began stands nowhere. */
  ended(workflow: TracedWorkflow, { state, why }: EndOfThread): void {
    this.#with((api) => {
      const { hookNo, workflowName, createdMs } = workflow;
      const name = `${hookNo === null ? 'WORKFLOW' : 'HOOK'}/${why === null ? 'COMPLETE' : 'ERROR'}/${workflowName}`;
      const attributes = { ...attributesOf(workflow), 'workflow.outcome': state };
      const since = hookNo === null ? { startTime: Math.round(createdMs) } : {};
      const span = beginSpan(api, name, attributes, contextOfRun(api, workflow), { kind: spanKind.consumer, ...since });
      endSpan(span, why ?? undefined);
    });
  }

  /** A workflow starts another one, with the commit under way. */
  beginChild(
    workflow: () => TracedRun,
    child: { readonly workflowId: string; readonly workflowName: string; readonly taskQueue: string },
  ): TracedStart | null {
    if (tracing() === null) return null;
    const { workflowId, workflowName, taskQueue } = child;
    const attributes = startAttributes(workflowId, workflowName, taskQueue);
    return beginStart(`WORKFLOW/START/${workflowName}`, attributes, workflow());
  }

  beginAttempt(activityName: string, attempt: number, call: TracedAttempt): AttemptSpan | null {
    return this.#with((api) => {
      const parent = contextOfRun(api, call);
      const attributes = {
        'activity.name': activityName,
        'activity.attempt': attempt,
        'activity.task_queue': call.taskQueue,
        'workflow.id': call.workflowId,
        'workflow.name': call.workflowName,
      };
      const span = beginSpan(api, `ACTIVITY/${activityName}`, attributes, parent, { kind: spanKind.consumer });
      const context = api.trace.setSpan(parent, span);
      return {
        within:
          (run) =>
          (...args) =>
            api.context.with(context, () => run(...args)),
        end: (outcome, why) =>
          quietly(() => {
            span.setAttributes({ 'activity.outcome': outcome });
            endSpan(span, why);
          }),
      };
    });
  }

  #with<T>(report: (api: TelemetryApi) => T): T | null {
    const api = tracing();
    if (api === null) return null;
    try {
      return report(api);
    } catch (error) {
      this.#logger.warn({ reason: messageOf(error) }, 'a span was not reported');
      return null;
    }
  }
}

function attributesOf({ workflowId, workflowName, taskQueue, run }: TracedWorkflow): Attributes {
  return { ...startAttributes(workflowId, workflowName, taskQueue), 'workflow.run': run };
}
