/**
 * Tells a program's publisher of what its clients and workers did, after it is durable: never awaited, never in their way. It is
 * told at most once; what must not be missed is emitted by workflows (`workflow.emit`).
 */
import * as v from 'valibot';
import type { Logger } from './logger.js';

/** What `publish` gets. Only fields that have a value are there. */
export interface SystemEvent {
  /** `{name}:{verb}:{ts}`. */
  readonly event_id: string;
  /** `system.engine.{namespace}.started`, `system.worker.{taskQueue}.stopped`, `system.workflow.{workflowId}.completed` ... */
  readonly type: string;
  /** ISO time. */
  readonly ts: string;
  readonly namespace: string;
  /** The namespace, by its older name. */
  readonly app_id: string;
  readonly workflow_id?: string;
  readonly topic?: string;
  /** The root of the tree of workflows that it belongs to. */
  readonly origin_id?: string;
  /** The workflow that started it. */
  readonly parent_id?: string;
  readonly trace_id?: string;
  readonly span_id?: string;
  readonly data: Record<string, unknown>;
}

/** The `events` option of clients and workers. */
export interface EventsConfig {
  /** Called after the fact and not awaited. What it throws, or rejects with, is logged and has no other effect. */
  publish(event: SystemEvent): unknown;
}

/** The option, for the shapes of calls that have it. */
export const eventsOption = v.custom<EventsConfig>(
  (value) => typeof (value as { publish?: unknown } | null)?.publish === 'function',
  'an object with a function `publish`',
);

export type LifecycleKind = 'engine' | 'worker' | 'workflow';

/** Facts about a workflow; null where there is none. */
export interface WorkflowFacts {
  readonly workflowId: string;
  readonly workflowName: string;
  readonly taskQueue: string;
  readonly run: number;
  readonly originId?: string | null;
  readonly parentWorkflowId?: string | null;
}

/** A run that was ended, or begun, by something else than its worker. */
export interface ChangedRun extends WorkflowFacts {
  readonly verb: string;
}

export class LifecycleEvents {
  readonly #config: EventsConfig;
  readonly #namespace: string;
  readonly #logger: Logger;

  constructor(config: EventsConfig, namespace: string, logger: Logger) {
    this.#config = config;
    this.#namespace = namespace;
    this.#logger = logger;
  }

  /** `verb`: started, stopped or deployed. */
  engine(verb: 'started' | 'stopped' | 'deployed', guid: string): void {
    const appId = this.#namespace;
    this.#publish('engine', appId, verb, {}, verb === 'deployed' ? { appId } : { appId, guid });
  }

  worker(verb: 'started' | 'stopped', taskQueue: string): void {
    this.#publish('worker', taskQueue, verb, {}, { taskQueue, appId: this.#namespace });
  }

  workflow(verb: string, facts: WorkflowFacts): void {
    const { workflowId, workflowName, taskQueue, run, originId, parentWorkflowId } = facts;
    const subject = {
      workflow_id: workflowId,
      topic: `${taskQueue}-${workflowName}`,
      ...(originId != null && { origin_id: originId }),
      ...(parentWorkflowId != null && { parent_id: parentWorkflowId }),
    };
    this.#publish('workflow', workflowId, verb, subject, { workflowId, workflowName, taskQueue, run });
  }

  #publish(
    kind: LifecycleKind,
    name: string,
    verb: string,
    subject: Partial<SystemEvent>,
    data: Record<string, unknown>,
  ): void {
    const ts = new Date().toISOString();
    const type = `system.${kind}.${name}.${verb}`;
    const failed = (err: unknown) => this.#logger.warn({ type, err }, 'a lifecycle event could not be published');
    try {
      const told = this.#config.publish({
        event_id: `${name}:${verb}:${ts}`,
        type,
        ts,
        namespace: this.#namespace,
        app_id: this.#namespace,
        ...subject,
        data,
      });
      // also where it is a promise of another kind
      Promise.resolve(told).then(undefined, failed);
    } catch (error) {
      failed(error);
    }
  }
}
