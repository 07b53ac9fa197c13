/** How the static finders of `Search` and `Entity` reach a database: what `client.getHotMeshClient` gives. */
import { refusal } from './refusal.js';

/** A comparison with a top-level field of an entity document; all of a query hold. */
export interface EntityCondition {
  readonly field: string;
  readonly op: 'eq' | 'ne' | 'gt' | 'gte' | 'lt' | 'lte' | 'like' | 'in';
  /** A scalar; for `in` an array of them. */
  readonly value: unknown;
}

export interface EntityQuery {
  readonly entity: string;
  /** This workflow alone. */
  readonly workflowId: string | null;
  readonly conditions: readonly EntityCondition[];
  readonly limit: number | null;
  readonly offset: number;
}

/** A workflow as the finders of `Entity` give it. */
export interface EntityRow<T = Record<string, unknown>> {
  /** `hmsh:{namespace}:j:{workflowId}` */
  readonly key: string;
  /** Its entity document; `{}` when it has none. */
  readonly context: T;
  /** As `handle.status()` has it. */
  readonly status: number;
}

export interface DocumentEngine {
  readonly namespace: string;
  findEntities(query: EntityQuery): Promise<EntityRow[]>;
  createEntityIndex(field: string): Promise<void>;
  userData(workflowId: string): Promise<Record<string, string>>;
}

/** @throws {InvalidArgumentError} when it is something else. */
export function checkDocumentEngine(call: string, engine: unknown): DocumentEngine {
  if (typeof engine === 'object' && engine !== null && 'findEntities' in engine && 'userData' in engine)
    return engine as DocumentEngine;
  throw refusal(call, 'engine', { must: 'what client.getHotMeshClient(null, namespace) gives' }, engine);
}
