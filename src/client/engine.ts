import type { DocumentEngine, EntityQuery, EntityRow } from '../core/document-engine.js';
import { checkIdentifier, checkWorkflowId } from '../core/identifier.js';
import { isLiteralField } from '../core/search-fields.js';
import type { TerminateOptions } from '../core/termination.js';
import type { DurableJobExport, ExportOptions } from './export-types.js';
import type { Link } from './link.js';
import { statusOf, type WorkflowState, type WorkflowStateMetadata } from './state.js';
import type { SubscribeOptions } from './subscribe.js';
import type { EmissionCallback, Subscription } from './subscription.js';

/** What an engine object asks of a handle. */
interface EngineHandle {
  status(): Promise<number>;
  state(metadata: true): Promise<{ data: WorkflowState; metadata: WorkflowStateMetadata }>;
  terminate(options?: TerminateOptions): Promise<void>;
  export(options?: ExportOptions): Promise<DurableJobExport>;
}

/** What an engine object asks of the client it is from. */
export interface EnginePort {
  reach(): Promise<Link>;
  subscribe(options: SubscribeOptions, callback: EmissionCallback): Promise<Subscription>;
  signal(signalId: string, data: unknown): Promise<'delivered' | 'buffered'>;
  handle(workflowId: string): EngineHandle;
}

/** Told of an event: its topic and what was emitted with it. */
export type TopicCallback = (topic: string, data: unknown) => unknown;

/**
 * One namespace of one database: what `client.getHotMeshClient` and `handle.hotMesh` give, for the static finders of `Search` and `Entity`, and for
 * programs written for HotMesh. New programs use the client and its handles, which do the same; for events
 * `client.workflow.subscribe`, which can go on where it was.
 */
export class Engine implements DocumentEngine {
  readonly namespace: string;
  readonly #port: EnginePort;
  readonly #subscriptions = new Map<string, Subscription[]>();

  /** @internal */
  constructor(namespace: string, port: EnginePort) {
    this.#port = port;
    this.namespace = namespace;
  }

  /** The namespace, by its older name. */
  get appId(): string {
    return this.namespace;
  }

  /** For `Entity.find` and its like. */
  async findEntities(query: EntityQuery): Promise<EntityRow[]> {
    const found = await (await this.#port.reach()).findEntities(query);
    return found.map(({ workflow_id, state, context }) => ({
      key: `hmsh:${this.namespace}:j:${workflow_id}`,
      context: JSON.parse(context) as Record<string, unknown>,
      status: statusOf({ state }),
    }));
  }

  /** For `Entity.createIndex`. */
  async createEntityIndex(field: string): Promise<void> {
    await (await this.#port.reach()).createEntityIndex(field);
  }

  /** For `Search.findAllUserData`. */
  async userData(workflowId: string): Promise<Record<string, string>> {
    const fields = (await (await this.#port.reach()).searchFields(checkWorkflowId('userData', workflowId), null)) ?? {};
    return Object.fromEntries(Object.entries(fields).filter(([name]) => !isLiteralField(name)));
  }

  /**
   * Calls `callback` with each event of the topic that workflows emit from now on, one after the other. What it throws ends the
   * subscription and is a rejection that nobody handles.
   */
  async sub(topic: string, callback: TopicCallback): Promise<void> {
    await this.#subscribe(`topic ${checkIdentifier('sub', 'topic', topic)}`, { topic }, callback);
  }

  /** As {@link sub}, for topics like `pattern`, where `*` stands for any characters. */
  async psub(pattern: string, callback: TopicCallback): Promise<void> {
    await this.#subscribe(`pattern ${checkIdentifier('psub', 'pattern', pattern)}`, { pattern }, callback);
  }

  /** Ends what {@link sub} began for the topic. */
  async unsub(topic: string): Promise<void> {
    await this.#unsubscribe(`topic ${checkIdentifier('unsub', 'topic', topic)}`);
  }

  /** Ends what {@link psub} began for the pattern. */
  async punsub(pattern: string): Promise<void> {
    await this.#unsubscribe(`pattern ${checkIdentifier('punsub', 'pattern', pattern)}`);
  }

  /** Sends a signal to whoever waits longest for it in the namespace: `client.workflow.signal`. */
  signal(signalId: string, data?: unknown): Promise<'delivered' | 'buffered'> {
    return this.#port.signal(signalId, data);
  }

  /** `handle.status()`. */
  async getStatus(workflowId: string): Promise<number> {
    return await this.#handle('getStatus', workflowId).status();
  }

  /** `handle.state(true)`; the topic is not looked at. */
  async getState(
    _topic: string,
    workflowId: string,
  ): Promise<{ data: WorkflowState; metadata: WorkflowStateMetadata }> {
    return await this.#handle('getState', workflowId).state(true);
  }

  /** `handle.export(options)` */
  async export(workflowId: string, options?: ExportOptions): Promise<DurableJobExport> {
    return await this.#handle('export', workflowId).export(options);
  }

  /** `handle.terminate(options)`; the topic is not looked at. */
  async interrupt(_topic: string, workflowId: string, options?: TerminateOptions): Promise<void> {
    await this.#handle('interrupt', workflowId).terminate(options);
  }

  #handle(call: string, workflowId: string): EngineHandle {
    return this.#port.handle(checkWorkflowId(call, workflowId));
  }

  async #subscribe(key: string, options: SubscribeOptions, callback: TopicCallback): Promise<void> {
    const heard: EmissionCallback =
      typeof callback === 'function' ? ({ topic, data }) => callback(topic, data) : callback;
    const subscription = await this.#port.subscribe(options, heard);
    this.#subscriptions.set(key, [...(this.#subscriptions.get(key) ?? []), subscription]);
  }

  async #unsubscribe(key: string): Promise<void> {
    const subscriptions = this.#subscriptions.get(key) ?? [];
    this.#subscriptions.delete(key);
    for (const subscription of subscriptions) subscription.unsubscribe();
  }
}
