/** Static finders of `Entity`: workflows by their entity documents. They are questions of a client, not durable calls. */
import * as v from 'valibot';
import {
  checkDocumentEngine,
  type DocumentEngine,
  type EntityCondition,
  type EntityQuery,
  type EntityRow,
} from '../core/document-engine.js';
import { type EntityConditions, entityCondition, entityConditions } from '../core/entity-conditions.js';
import { checkDocumentKey, checkIdentifier, checkWorkflowId } from '../core/identifier.js';
import { parseOptions, wholeNumber } from '../core/options.js';
import { refusal } from '../core/refusal.js';

const pageOptions = v.strictObject({ limit: v.optional(wholeNumber(0)), offset: v.optional(wholeNumber(0)) });

/** Which of the found workflows are given. Default: all. */
export interface PageOptions {
  readonly limit?: number;
  readonly offset?: number;
}

/**
 * Workflows that were started with this entity and whose document fulfils all conditions, newest first; each by its newest run,
 * finished ones too while they are kept.
 *
 * A condition is a value that a top-level field must equal, or `{ $eq, $ne, $gt, $gte, $lt, $lte, $in }`. Values are equal when
 * their text is: `5` finds `5` and `'5'`. Text is ordered by code points, numbers (and text that is one) by size. A field that is
 * missing equals null and nothing else.
 *
 * @param engine What `client.getHotMeshClient` gives.
 *
 * @example
 * const engine = await client.getHotMeshClient(null, 'durable');
 * const open = await Entity.find('order', { state: 'open', total: { $gte: 100 } }, engine, { limit: 20 });
 */
export async function find<T = Record<string, unknown>>(
  entity: string,
  conditions: EntityConditions,
  engine: DocumentEngine,
  options: PageOptions = {},
): Promise<EntityRow<T>[]> {
  return await ask<T>(
    'Entity.find',
    entity,
    engine,
    { conditions: entityConditions('Entity.find', conditions) },
    options,
  );
}

/** One workflow of this entity; null when there is none. */
export async function findById<T = Record<string, unknown>>(
  entity: string,
  id: string,
  engine: DocumentEngine,
): Promise<EntityRow<T> | null> {
  checkWorkflowId('Entity.findById', id);
  return (await ask<T>('Entity.findById', entity, engine, { workflowId: id }, {}))[0] ?? null;
}

/** As {@link find}, with one condition. `IN` takes an array. */
export async function findByCondition<T = Record<string, unknown>>(
  entity: string,
  field: string,
  value: unknown,
  op: '=' | '!=' | '>' | '<' | '>=' | '<=' | 'LIKE' | 'IN' = '=',
  engine?: DocumentEngine,
  options: PageOptions = {},
): Promise<EntityRow<T>[]> {
  const call = 'Entity.findByCondition';
  const conditions: EntityCondition[] = [entityCondition(call, field, op, value)];
  return await ask<T>(call, entity, engine, { conditions }, options);
}

/**
 * Makes an index by which `find` looks up workflows with a given value of the field. Idempotent; serves all entities of the
 * namespace. Workflows that write their documents wait while it is built.
 *
 * @param type Only `gin`.
 */
export async function createIndex(entity: string, field: string, engine: DocumentEngine, type = 'gin'): Promise<void> {
  const call = 'Entity.createIndex';
  checkIdentifier(call, 'entity', entity);
  checkDocumentKey(call, 'field', field);
  if (type !== 'gin') throw refusal(call, 'type', { must: '"gin"' }, type);
  await checkDocumentEngine(call, engine).createEntityIndex(field);
}

async function ask<T>(
  call: string,
  entity: string,
  engine: DocumentEngine | undefined,
  what: Partial<EntityQuery>,
  options: PageOptions,
): Promise<EntityRow<T>[]> {
  checkIdentifier(call, 'entity', entity);
  const { limit, offset } = parseOptions(call, pageOptions, options);
  const query = { entity, workflowId: null, conditions: [], limit: limit ?? null, offset: offset ?? 0, ...what };
  return (await checkDocumentEngine(call, engine).findEntities(query)) as EntityRow<T>[];
}
